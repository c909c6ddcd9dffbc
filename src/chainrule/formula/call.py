"""Formulas that can be called with values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from chainrule.errors import ArgumentError, OperandError
from chainrule.formula.functions import CONSTANTS
from chainrule.formula.graphs import build
from chainrule.formula.mistakes import closest
from chainrule.formula.statements import Statement, parse
from chainrule.formula.tokens import Span, normal_name
from chainrule.formula.typeset import expression, left, typeset
from chainrule.graph import Graph
from chainrule.modes import inside_transform
from chainrule.node import ArrayLike, Node, as_array, leaf
from chainrule.shapes import float64


class Formula:
    """A formula that was read: a graph with a letter on every node, to call with values.

    Attributes:
        text: as it was written.
        name: of the result: the name that its line gives it, else ``f``.
        variables: names of the arguments: those in the header first, then in order of appearance.
        graph: one scalar float64 input for each variable, one node for each operation. Intermediates are
            called x, y, z, u, v, w, p, ... in order of evaluation, without the letters that the text uses.
            Numbers are nodes without a name.
        spans: the first and the last character (exclusive) of the text that each node came from.
    """

    text: str
    name: str
    variables: tuple[str, ...]
    graph: Graph
    spans: dict[Node, Span]

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(
                f"formula: expected text, got {type(text).__name__}", fix='write it in quotes: "(a+b)*(b+c)"'
            )
        self.text = str(text)
        self._statements, scope = parse(self.text)
        self.graph, self.name, self.spans, self._terms = build(self._statements, scope)
        self.variables = tuple(str(node.name) for node in self.graph.inputs)

    def __call__(self, /, *args: Node | ArrayLike, **values: Node | ArrayLike) -> Any:
        """Evaluate at ``args``, in the order of ``variables``, or at ``values`` by name.

        Args:
            args, values: numbers or arrays, which become float64, or tensors, which are used as they are.
                They broadcast.

        Returns:
            The result, of the broadcast shape. It carries its graph, in which the variables are tracked
            leaves with their names, so that it can be differentiated and explained.

        Raises:
            ArgumentError: a variable has no value, or two, or there is none of that name.
            OperandError: a value is not a number or an array of numbers.

        Example:
            >>> f = formula("(a+b)*(b+c)")
            >>> f(-1, 3, 4).item(), f(a=-1, b=[3.0, 4.0], c=4).tolist()
            (14.0, [14.0, 24.0])
        """
        given = self._bind(args, values)
        (result,) = self.graph.rebuild(*(_operand(name, given[name]) for name in self.variables))
        return result

    @property
    def __signature__(self) -> inspect.Signature:
        """Its variables as parameters, for whoever asks a function for its arguments."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(name, kind) for name in self.variables])

    def _bind(self, args: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
        """Values by variable."""
        if len(args) > len(self.variables):
            raise ArgumentError(
                f"{self._header}: expected {_count(len(self.variables), 'value')}, got {len(args)}",
                fix=f"pass one for each of {self._expected}",
            )
        given = dict(zip(self.variables, args, strict=False))
        for written, value in values.items():
            name = normal_name(written)
            if name not in self.variables:
                raise self._unknown(written, values)
            if name in given:
                raise ArgumentError(
                    f"{self._header}: {name} has two values", fix="pass it by its place or by its name, once"
                )
            given[name] = value
        missing = [name for name in self.variables if name not in given]
        if missing:
            raise ArgumentError(
                f"{self._header}: no value for {', '.join(missing)}",
                fix=f"pass one for each of {self._expected}, for example {missing[0]}=1",
            )
        return given

    @property
    def _header(self) -> str:
        return f"{self.name}({', '.join(self.variables)})"

    @property
    def _expected(self) -> str:
        return ", ".join(self.variables) or "none: this formula has no variables"

    def _unknown(self, name: str, values: dict[str, Any]) -> ArgumentError:
        fix = f"expected {self._expected}"
        run_together = next((v for v in self.variables if len(v) > 1 and set(v) <= set(values)), None)
        meant = closest(name, self.variables)
        if name in CONSTANTS:
            fix += f"; {name} is the number {CONSTANTS[name].value:.6g} in every formula"
        elif run_together:
            fix += f"; {run_together} is one name: a product is written {'*'.join(run_together)}"
        elif meant:
            fix += f"; did you mean {meant}?"
        return ArgumentError(f"{self._header}: there is no variable {name}", fix=fix)

    @cached_property
    def latex(self) -> str:
        """LaTeX of the formula for display mathematics.

        Example:
            >>> print(formula("g(x) = 1/(1+e^-x)").latex)
            g\\left(x\\right) = \\frac{1}{1 + e^{-x}}
        """
        return typeset(self._statements, self.name)

    def latex_lines(
        self,
        mark: Callable[[Node, str], str] | None = None,
        number: Callable[[Node], str | None] | None = None,
    ) -> list[tuple[str, str]]:
        """LaTeX of the left and the right side of each line, with what belongs to each node marked.

        Args:
            mark: gives the LaTeX of a part around which something is written, from its node in ``graph`` and its LaTeX.
            number: gives what is written in the place of a name, from its node; None for the name itself.

        Example:
            >>> f = formula("2x+1")
            >>> print(f.latex_lines(number=lambda node: "3")[0][1])
            2 \\cdot 3 + 1
        """

        def written(statement: Statement, nodes: Sequence[Node | None]) -> str:
            def marked(i: int, latex: str) -> str:
                node = nodes[i]
                return latex if node is None or mark is None else mark(node, latex)

            def numbered(i: int) -> str | None:
                node = nodes[i]
                return None if node is None or number is None else number(node)

            return expression(statement.terms, marked if mark else None, numbered if number else None)

        return [
            (left(statement, self.name), written(statement, nodes))
            for statement, nodes in zip(self._statements, self._terms, strict=True)
        ]

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex}$"

    def __repr__(self) -> str:
        return f"formula({self.text!r})"


def _operand(name: str, value: Any) -> Node:
    if isinstance(value, Node):
        return value
    try:
        array = as_array(value, None, copy=True)
    except OperandError as error:
        raise OperandError(f"{name}: {error.message}", fix=error.fix) from None
    plain = inside_transform.get()  # there the arguments that matter are tensors already
    return leaf(array.astype(float64, copy=False), tracked=not plain, name=name, copy=False)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def formula(text: str) -> Formula:
    """Read a formula, such as ``(a+b)*(b+c)``, and build its graph.

    The text is never run as a program: any text gives a formula or a :class:`FormulaError`, at once.

    ==================  =================================================================================
    numbers             ``3``, ``0.5``, ``1e-3``; all are float64. After digits, ``e`` with digits (and a
                        sign) is an exponent, else a factor: ``2e-3`` is 0.002, ``2e-x`` is 2·e - x
    names               a letter (Latin or Greek), then letters, digits and indices: ``x``, ``w_1``, ``δ``,
                        ``rate``. ``xy`` is one name; a product is ``x y`` or ``x*y``. ``w₁`` is the same as
                        ``w_1``. π is in no name, so that ``2πr`` is a product
    constants           ``e``, and ``pi`` or ``π``
    ``+ - * / ^``       also ``**``, and ``− · × ÷ x²``. Powers bind first, from the right; then the minus
                        sign; then products and quotients, from the left; then sums: ``-x^2`` is -(x²),
                        ``2^3^2`` is 512, ``2^-1`` is 0.5
    unwritten products  ``5x``, ``2(x+1)``, ``(a+b)(b+c)``, ``2 pi r``. They bind as ``*`` does: ``2x^2`` is
                        2·x², and ``1/2x`` is (1/2)·x, as most mathematics software reads it
    functions           always with parentheses: ``sin(x)``, ``max(a, b)``. A power stands behind them:
                        ``sin(x)^2``. ``log`` is the natural logarithm, ``σ(x)`` the sigmoid
    several lines       separated by line ends or ``;``. All but the last give a name to a value, as in
                        ``z = w*x + b``; the value of the last is the result
    header              ``g(x, y) = ...`` on the last line names the result and orders the arguments
    ==================  =================================================================================

    Functions: exp exp2 expm1 log (ln) log1p log2 log10 logaddexp sqrt (√) cbrt square hypot, sin cos tan
    asin acos atan atan2 sinh cosh tanh asinh acosh atanh (also arcsin and so on), sigmoid (σ) log_sigmoid
    relu (ReLU) leaky_relu elu (ELU) gelu (GELU) silu (SiLU, swish) softplus erf erfc, abs sign floor ceil
    round, clip(x, low, high), max and min (maximum, minimum) of two or more. σ is a variable where no
    parenthesis follows.

    No variable can be called ``e`` or π. What has no variables, such as ``2^3``, is one constant.

    Args:
        text: at most 20,000 characters, 5,000 numbers, names and operations, and 200 levels of nesting.

    Raises:
        FormulaError: the text is no formula. The message shows the line with a caret under the character.
        ArgumentError: ``text`` is not a string.

    Example:
        >>> f = formula("(a+b)*(b+c)")
        >>> f.variables, f(a=-1, b=3, c=4).item()
        (('a', 'b', 'c'), 14.0)
        >>> print(f.graph)
        graph(a: float64[], b: float64[], c: float64[]):
          x = add(a, b): float64[]
          y = add(b, c): float64[]
          f = multiply(x, y): float64[]
          return f
        >>> formula("z = w x + b; σ(z)").variables
        ('w', 'x', 'b')
    """
    return Formula(text)
