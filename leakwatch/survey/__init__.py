"""A one-off scan of files, for a person who wants to know what lies there: `leakwatch scan`.

::

    paths ─▶ files ─▶ inspector ─▶ hits, problems ─▶ owners ─▶ report
                      (one in each process)

The same scanner looks as in the daemon, and nothing is stored, told or tried. What belongs to a customer is always
shown. What does not is ranked, since here a person reads it: examples and placeholders are hidden unless asked for.
"""

from leakwatch.survey.crew import Crew
from leakwatch.survey.files import Folders, Job, is_endless
from leakwatch.survey.inspector import Hit, Inspected, Inspector, Known
from leakwatch.survey.likelihood import Likelihood
from leakwatch.survey.report import FORMATS, Leak, Survey, shown
from leakwatch.survey.unread import Problem, Problems, told

__all__ = [
    "FORMATS",
    "Crew",
    "Folders",
    "Hit",
    "Inspected",
    "Inspector",
    "Job",
    "Known",
    "Leak",
    "Likelihood",
    "Problem",
    "Problems",
    "Survey",
    "is_endless",
    "shown",
    "told",
]
