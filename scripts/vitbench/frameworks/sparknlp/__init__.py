"""Spark NLP, as a framework that can be measured."""
