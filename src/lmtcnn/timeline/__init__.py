"""When and where: the clock of a recording, its segments and intervals, positions frame by frame."""
