"""The page, the websocket that it talks through, and the listener for health and metrics."""
