"""placeholder until the generator lands"""


class PaperMethod:
    name = "paper"
