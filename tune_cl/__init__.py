"""Honest hyperparameter search for class-incremental learning."""
