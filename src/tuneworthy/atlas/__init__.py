"""The atlas: which strategy won on which type of task at how many rows, as measured before release.

`bench/atlas` of the repository measures it and writes `atlas.json.xz`; here it is read and shown.
"""
