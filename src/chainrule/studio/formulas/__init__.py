from chainrule.studio.formulas.questions import endpoints as endpoints
from chainrule.studio.formulas.schema import FORMULA_TRACE as FORMULA_TRACE
from chainrule.studio.formulas.trace import FormulaTrace as FormulaTrace
