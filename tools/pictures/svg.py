"""Lines over two axes as SVG text, written by hand so that a picture in the tree is small and a difference of it can be read."""

COLOURS = ("#1b6ca8", "#5aa9e6", "#2a9d8f", "#c1121f", "#f4a261", "#6a4c93", "#555555")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 70, 230, 30, 50


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Chart:
    """A chart of [x_low, x_high] by [y_low, y_high]; logarithmic axes take logarithms. Parts are drawn in the order of the calls."""

    def __init__(self, x_span, y_span):
        self.x_span, self.y_span = x_span, y_span
        self.out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
                    '<rect width="100%" height="100%" fill="white"/>']

    def x(self, value):
        return LEFT + (value - self.x_span[0]) / (self.x_span[1] - self.x_span[0]) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - (value - self.y_span[0]) / (self.y_span[1] - self.y_span[0]) * (HEIGHT - TOP - BOTTOM)

    def y_tick(self, value, label):
        at = self.y(value)
        self.out += [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>',
                     f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(label)}</text>']

    def x_tick(self, value, label):
        self.out.append(f'<text x="{self.x(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(label)}</text>')

    def series(self, points, label, colour, nudge=0):
        """`nudge`: the label stands so many pixels below the last point, where it would cover another."""
        at = [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points]
        self.out.append(f'<polyline points="{" ".join(at)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        self.out += [f'<circle cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="3" fill="{colour}"/>' for point in at]
        self.out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{self.y(points[-1][1]) + 4 + nudge:.1f}" fill="{colour}">{escape(label)}</text>')

    def text(self, x_title, y_title):
        """The whole picture."""
        self.out += [f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>',
                     f'<text x="{LEFT}" y="18">{escape(y_title)}</text>', "</svg>"]
        return "\n".join(self.out) + "\n"
