"""Optional measurements after the arms: they explain the verdict and name no arm."""
