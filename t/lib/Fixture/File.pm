package Fixture::File;

# Whole files at once.

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path);

our @EXPORT = qw(slurp spew);


sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or die "$path: $!\n";
    local $/;

    return scalar(<$fh>) // '';
}


# Makes the folders above it, too; returns the path.
sub spew {
    my ($path, $bytes) = @_;

    make_path(dirname($path));
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $bytes;
    close $fh or die "$path: $!\n";

    return $path;
}


1;
