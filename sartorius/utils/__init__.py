"""What every package needs and no package is about: errors, paths, atomic files, command lines."""
