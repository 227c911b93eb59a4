"""Build, export, prove, serve and watch the arm that a verdict named."""
