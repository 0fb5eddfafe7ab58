from .load import convert, load_generator, read_metadata, save_generator

__all__ = ["convert", "load_generator", "read_metadata", "save_generator"]
