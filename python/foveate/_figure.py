"""A figure of Matplotlib that notebooks show. Imported where one is drawn: Matplotlib is optional."""

from io import BytesIO

from matplotlib import figure


class Figure(figure.Figure):
    """A figure that shows itself in a notebook, also where pyplot, which registers figures, is not used."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", bbox_inches="tight")
        return file.getvalue()
