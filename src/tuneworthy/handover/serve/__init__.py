"""Serve built artefacts and their base models behind an OpenAI-compatible HTTP interface.

Starlette and uvicorn are imported by `http_app.py` and `http_server.py` alone (extra `serve`).
"""
