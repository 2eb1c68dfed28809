"""The commands: arguments, progress, words for people. The only floor that prints and exits."""
