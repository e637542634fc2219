"The data sets of the course: importing this package registers every one of them by its name."

# in the order of the catalogue
from . import digits, faces, clevr, photos
