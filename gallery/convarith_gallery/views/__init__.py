"""What each step of a picture shows: one pure function a view."""
