"""Write and open the folder of a built artefact: the deployed arm as plain data and files."""
