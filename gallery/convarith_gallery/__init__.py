"""What one looks at: scenes, drawings and the reference autoencoders."""
