"""Plan the arms, run them unit by unit, and spend the minutes by the stage rule."""
