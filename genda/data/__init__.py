"The data sets of the course: importing this package registers every one of them by its name."

from . import clevr, digits, faces, photos
