"""OpenAI's wire shapes as plain functions and values: no sockets, no clocks, no asyncio."""
