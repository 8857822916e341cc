# After code with 256 or 512-bit registers, SSE code of others is slow until
# vzeroupper: every function that uses them has one.

use strict;
use warnings;

use Test::More;

my $library = $ENV{INFER} || 'build/infer';
$library =~ s{[^/]*$}{libinfer.a};

open my $objdump, '-|', 'objdump', '-d', '--no-show-raw-insn', $library
    or plan skip_all => "objdump: $!";

my ($sanitized, $object, $name, %wide, %clean);

while (<$objdump>) {
    $object = $1, next if /^(\S+\.o):/;
    $name = "$object:$1", next if /^[0-9a-f]+ <(.+)>:$/;

    $sanitized = 1 if /__asan_/;
    $wide{$name} = 1 if /%[yz]mm/;
    $clean{$name} = 1 if /\tvzeroupper/;
}

close $objdump;

# its helper functions are not inlined, and return such registers
plan skip_all => 'a build for AddressSanitizer' if $sanitized;
plan skip_all => 'for x86-64' if `uname -m` ne "x86_64\n";
plan tests => 2;

cmp_ok(keys %wide, '>', 50, 'functions with wide registers');
is(join(' ', grep { !$clean{$_} } sort keys %wide), '', 'have vzeroupper');
