#!/usr/bin/python3
"""Makes the files of this directory, by hand and once:

    ./make.py PNG_DIR

PNG_DIR holds images of Fashion-MNIST's test set as t10k_<index>_<label>.png
(dataset-fashion-mnist, written with PIL).  One image of each class is copied
as <class>-<name>.png, and the trouser also becomes a JPEG, a GIF and a BMP.
halves.jpg is white on the left and black on the right.
"""

import shutil
import sys

from PIL import Image

PICKED = {
    "0-tshirt": "t10k_00019_0.png", "1-trouser": "t10k_00002_1.png",
    "2-pullover": "t10k_00001_2.png", "3-dress": "t10k_00013_3.png",
    "4-coat": "t10k_00006_4.png", "5-sandal": "t10k_00008_5.png",
    "6-shirt": "t10k_00004_6.png", "7-sneaker": "t10k_00009_7.png",
    "8-bag": "t10k_00018_8.png", "9-boot": "t10k_00000_9.png",
}

for name, source in PICKED.items():
    shutil.copyfile(sys.argv[1] + "/" + source, name + ".png")

trouser = Image.open("1-trouser.png")
trouser.save("1-trouser.jpg", quality=95)
trouser.save("1-trouser.gif")
trouser.save("1-trouser.bmp")

halves = Image.new("L", (16, 16), 0)
halves.paste(255, (0, 0, 8, 16))
halves.save("halves.jpg", quality=95)
