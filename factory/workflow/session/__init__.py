"""One session: its attempts, what an agent is given, how it is supervised, and how the session ends."""
