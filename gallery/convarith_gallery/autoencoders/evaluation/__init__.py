"""What is measured on a trained model: `evaluations` by name, `restoration` for restorers, and the `baselines`."""
