"""The lab: a web page in which people break real training runs, find the cause and repair it."""
