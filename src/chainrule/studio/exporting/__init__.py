"""The same trace outside of the live page: one file that stands alone, figures for papers, a widget for notebooks."""

from chainrule.studio.exporting.questions import endpoints as endpoints
from chainrule.studio.exporting.writing import export as export
