"""Makes NotoSansCJK-Subset.otf and NotoEmoji-Subset.ttf beside itself from the whole Noto fonts.

    python subset.py NotoSansCJK-Regular.ttc "NotoEmoji[wght].ttf"

Needs fonttools. The first is a file of Debian's fonts-noto-cjk; the second is that of Google Fonts. The subset has the characters of
GB 2312, Shift JIS, EUC-KR and the first level of Big5, and all Hangul syllables; of emoji, all.
"""
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

HERE = Path(__file__).resolve().parent


def of_table(encoding, leads, trails):
    for lead in leads:
        for trail in trails:
            try:
                yield from map(ord, bytes([lead, trail]).decode(encoding))
            except UnicodeDecodeError:
                pass


def east_asian():
    found = set(of_table("gb2312", range(0xA1, 0xF8), range(0xA1, 0xFF)))
    found |= set(of_table("shift_jis", [*range(0x81, 0xA0), *range(0xE0, 0xF0)], range(0x40, 0xFD)))
    found |= set(of_table("euc_kr", range(0xA1, 0xFE), range(0xA1, 0xFF)))
    found |= set(of_table("big5", range(0xA1, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)]))
    for first, last in ((0x3000, 0x312F), (0x3131, 0x318E), (0x31F0, 0x31FF), (0xAC00, 0xD7A3), (0xFF00, 0xFFEF)):
        found |= set(range(first, last + 1))
    return {c for c in found if c >= 0x1100}


def make(font, characters, name):
    options = subset.Options()
    options.layout_features, options.hinting = [], False
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "BASE", "VORG", "vhea", "vmtx", "DSIG", "STAT"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    subset.save_font(font, HERE / name, options)


if __name__ == "__main__":
    make(TTFont(sys.argv[1], fontNumber=2), east_asian(), "NotoSansCJK-Subset.otf")
    emoji = instantiateVariableFont(TTFont(sys.argv[2]), {"wght": 400})
    make(emoji, {*range(0x2000, 0x3301), *range(0x1F000, 0x1FB00)}, "NotoEmoji-Subset.ttf")
