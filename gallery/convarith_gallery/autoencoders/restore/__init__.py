"""A trained restorer on a picture of the user's: `restoring`, in pieces by `tiling`, 16-bit files by `png16`."""
