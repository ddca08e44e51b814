"""Stores and reads secrets: OpenBao, an encrypted file or environment variables."""
