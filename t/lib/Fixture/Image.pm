package Fixture::Image;

# Images made of a few bytes: PNG and BMP files of any colour and size, and
# EXIF data for a JPEG.

use strict;
use warnings;

use Compress::Zlib qw(compress crc32);


sub _chunk {
    my ($type, $data) = @_;

    return pack('N', length $data) . $type . $data
           . pack('N', crc32($type . $data));
}


# An RGB PNG; $rgb is a function (x, y) that returns three numbers.
sub png {
    my ($width, $height, $rgb) = @_;
    my $rows = '';

    for my $y (0 .. $height - 1) {
        $rows .= pack 'C*', 0, map { $rgb->($_, $y) } 0 .. $width - 1;
    }

    return png_of($width, $height, compress($rows));
}


# A gray PNG of width * height bytes.
sub gray {
    my ($width, $height, $bytes) = @_;
    my $rows = join '', map { "\0" . substr $bytes, $_ * $width, $width }
               0 .. $height - 1;

    return "\x89PNG\r\n\x1a\n"
           . _chunk('IHDR', pack 'NNC5', $width, $height, 8, 0, 0, 0, 0)
           . _chunk('IDAT', compress($rows)) . _chunk('IEND', '');
}


# A PNG with a header that says anything and data that may not agree.
sub png_of {
    my ($width, $height, $data) = @_;

    return "\x89PNG\r\n\x1a\n"
           . _chunk('IHDR', pack 'NNC5', $width, $height, 8, 2, 0, 0, 0)
           . _chunk('IDAT', $data) . _chunk('IEND', '');
}


# A PNG of one colour.
sub plain {
    my ($side, @rgb) = @_;

    return png($side, $side, sub { @rgb });
}


# A JPEG with an EXIF segment of nothing but the orientation (1 to 8).
sub jpeg_oriented {
    my ($jpeg, $orientation) = @_;
    my $tiff = "MM\0*" . pack 'NnnnNnnN', 8, 1, 0x0112, 3, 1, $orientation,
                              0, 0;
    my $exif = "Exif\0\0$tiff";

    return substr($jpeg, 0, 2) . "\xff\xe1" . pack('n', length($exif) + 2)
           . $exif . substr($jpeg, 2);
}


1;
