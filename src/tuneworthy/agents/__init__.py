"""What coding agents use: an MCP server whose tools are the commands, and the runs it starts."""
