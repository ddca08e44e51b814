"""A stub model on loopback: a script answers over the wire formats that coding agents speak."""
