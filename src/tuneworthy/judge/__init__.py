"""Grade answers with a judge model that human grades keep in check."""
