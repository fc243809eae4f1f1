"""What a run leaves for people: `results` as data, `pictures`, and `pages`."""
