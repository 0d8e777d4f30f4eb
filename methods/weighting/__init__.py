"""Example weights that follow a rule and learn nothing from clean labels."""
