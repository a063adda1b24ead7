"""Hugging Face transformers, as a framework that can be measured."""
