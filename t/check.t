# ONNX's own backend tests (Debian's libonnx-testdata): every test of an
# operator that the README lists passes, in each instruction set; what is
# skipped has a reason that this file knows.

use strict;
use warnings;

use Test::More;

my $infer = $ENV{INFER} // 'build/infer';
my $data = '/usr/share/libonnx-testdata/data';

# Reasons to skip a model all of whose operators are supported.
my @allowed = (
    qr/ was exported in training mode: call model\.eval\(\)/,
    qr/ is no tensor of a supported type$/,           # strings, sequences
    qr/\(Cast\): cannot cast to data type 8$/,        # to strings
    qr/operands of float16 are not supported$/,
    qr/\(Mod\): fmod=1 is not supported$/,
    qr/"like" is 3x4, the tensor is 1$/,              # defects of ONNX 1.12
);

my %supported = map { $_ => 1 } supported();
my %passed;

for my $isa (qw(scalar best)) {
    local $ENV{INFER_ISA} = $isa;

    my @lines = qx{'$infer' check -v $data 2>&1};
    is($? >> 8, 0, "$isa: exit status");

    chomp(my $last = $lines[-1] // '');
    like($last, qr/^\d+ passed, 0 failed, \d+ skipped$/, "$isa: $last");

    for (grep { /^skipped/ } @lines) {
        chomp;
        my ($reason) = /: (.*)/;

        if ($reason =~ /not supported: (.*)/) {
            my @missing = $1 =~ /(\w+) \(\d+\)/g;
            my @ours = grep { $supported{$_} } @missing;

            fail("$_: @ours") if @ours || !@missing;
            next;
        }

        fail($_) unless grep { $reason =~ $_ } @allowed;
    }

    $passed{$isa} = join '', grep { /^passed/ } @lines;
    cmp_ok(() = $passed{$isa} =~ /^passed/mg, '>=', 581,
           "$isa: no fewer than were ever seen to pass");
}

is($passed{best}, $passed{scalar}, 'the same tests pass');

done_testing();


# The list of operators in the README.
sub supported {
    open my $readme, '<', 'README.md' or die "README.md: $!\n";
    my $text = do { local $/; <$readme> };

    my ($list) = $text =~ /These operators:\n\n(.*?)\n\n/s
        or die "README.md: no list of operators\n";

    return split ' ', $list;
}
