"""How right a model is, class by class: numbers, a page in Markdown, pictures.

`_evaluation.py` measures, `_page.py` writes it down, `_pictures.py` draws it and a training's history.
"""

from __future__ import annotations

from fastnn.report._evaluation import ClassRow, ConfusedPair, Evaluation, WorstSample, evaluate, write_pictures
from fastnn.report._pictures import read_history

__all__ = ["ClassRow", "ConfusedPair", "Evaluation", "WorstSample", "evaluate", "read_history", "write_pictures"]
