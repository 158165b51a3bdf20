"""The api role: speaks REST and the WebSocket API, admits orders, holds funds, journals, answers."""
