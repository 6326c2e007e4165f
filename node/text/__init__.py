"""Texts into tokens, for text indexes and for whatever else compares words (reference 11).

Lives here: splitting by tokenizer, folding, stopwords, stemming, the order of these steps.
May not live here: which values a filter matches, slots, files.
"""

from node.text.analyzer import Analyzer, analyzer_of

__all__ = ["Analyzer", "analyzer_of"]
