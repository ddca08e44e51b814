"""The life of an embedded instance: its servers, its workspace, what a first start provisions."""
