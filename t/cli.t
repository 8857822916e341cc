# The infer command from outside: what it prints, writes and returns.
#
# The models are made here, byte by byte, so that every number expected below
# can be worked out by hand; the last part runs the real FashionNet.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(make_path);
use IO::Compress::Gzip qw(gzip);
use JSON::PP;
use Test::More;

use Fixture::Cli;
use Fixture::Image;
use Fixture::Onnx;


# ---- running it -----------------------------------------------------------

# It succeeds without a word on stderr; returns its stdout.
sub good {
    my ($what, @args) = @_;
    my ($status, $out, $err) = infer(@args);

    is($status, 0, "$what: exit status 0");
    is($err, '', "$what: silent stderr");

    return $out;
}

sub good_json {
    my ($what, @args) = @_;

    return JSON::PP->new->utf8->decode(good($what, @args, '--json'));
}

# It fails with this status and exactly one line, which matches.
sub bad {
    my ($what, $want, $pattern, @args) = @_;
    my ($status, $out, $err) = infer(@args);

    is($status, $want, "$what: exit status $want");
    like($err, qr/\Ainfer: [^\n]*$pattern[^\n]*\n\z/, "$what: its line");

    return $out;
}

sub near {
    my ($got, $want, $what) = @_;
    ok(abs($got - $want) <= 1e-6, $what) or diag("got $got, want $want");
}


# ---- making images and arrays ---------------------------------------------

# A gray picture.
sub png {
    my ($w, $h, @pixel) = @_;

    return Fixture::Image::png($w, $h, sub {
        my ($x, $y) = @_;
        return ($pixel[$y * $w + $x]) x 3;
    });
}

sub npy {
    my ($descr, $shape, $data, $fortran) = @_;
    my $head = "{'descr': '$descr', 'fortran_order': "
               . ($fortran ? 'True' : 'False') . ", 'shape': ($shape), }";
    $head .= ' ' x (63 - (10 + length $head) % 64) . "\n";
    return "\x93NUMPY\1\0" . pack('v', length $head) . $head . $data;
}

# The shape of a .npy file as text, and its floats.
sub read_npy {
    my ($path) = @_;
    my $file = slurp($path);
    my $len = unpack 'v', substr $file, 8, 2;
    my ($shape) = substr($file, 10, $len)
        =~ /'descr': '<f4', 'fortran_order': False, 'shape': \((.*?)\)/;
    return ($shape, unpack 'f<*', substr $file, 10 + $len);
}


# ---- the models and images ------------------------------------------------

# z = x + y, for any batch; two outputs, one of an awkward name.
my $sum = spew("$dir/sum.onnx", Fixture::Onnx::model(
    inputs => [ ['x', 1, 'N', 3], ['y', 1, 'N', 3] ],
    outputs => [ ['out/z:0', 1, 'N', 3], ['r', 1, 'N', 3] ],
    nodes => [ Fixture::Onnx::node('Add', ['x', 'y'], ['out/z:0']),
               Fixture::Onnx::node('Relu', ['out/z:0'], ['r']) ]));

# The score of class k is the sum of row k of a 3 x 3 gray image.
my $rows = spew("$dir/rows.onnx", Fixture::Onnx::model(
    inputs => [ ['image', 1, 'N', 1, 3, 3] ],
    outputs => [ ['scores', 1, 'N', 3] ],
    initializers => [
        Fixture::Onnx::floats('w', [9, 3], [
            map { my $i = $_; map { int($i / 3) == $_ } 0 .. 2 } 0 .. 8]),
        Fixture::Onnx::floats('b', [3], [0, 0, 0]) ],
    nodes => [ Fixture::Onnx::node('Flatten', ['image'], ['flat']),
               Fixture::Onnx::node('Gemm', ['flat', 'w', 'b'], ['scores']) ]));

my @raw = ('--preprocess', 'resize=3 crop=3 mean=0 std=1');

# Row k is lit.
sub lit { my ($k) = @_; return map { int($_ / 3) == $k ? 255 : 0 } 0 .. 8 }

my @image = map { spew("$dir/row$_.png", png(3, 3, lit($_))) } 0 .. 2;

# softmax of (3, 0, 0)
my $p = exp(3) / (exp(3) + 2);

my $names = spew("$dir/names.txt", "top\nmiddle\r\nbottom\n\n");


# ---- usage ----------------------------------------------------------------

bad('no command', 2, 'no command');
bad('unknown command', 2, 'evil: no such command; did you mean eval\?',
    'evil');
bad('hopeless command', 2, 'xyzzy: no such command \(infer --help', 'xyzzy');
bad('unknown option', 2, '--tpo.*did you mean --top\?', 'run', $rows,
    '--tpo=3');
bad('no operand', 2, 'MODEL is missing', 'inspect');
bad('value missing', 2, '--top: the value K is missing', 'run', $rows,
    $image[0], '--top');
bad('not a number', 2, '--top: "3x" is no number from 1', 'run', $rows,
    $image[0], '--top', '3x');
bad('too small', 2, '--top: "0" is no number', 'run', $rows, '--top=0');
bad('twice', 2, '--top: given twice', 'run', $rows, '--top=1', '--top=2');
bad('value for a flag', 2, '--json: takes no value', 'run', '--json=1');
bad('option after --', 2, '--json: No such file', 'inspect', '--', '--json');
bad('images and tensors', 2, 'not both', 'run', $rows, $image[0],
    '--input', 'x.npy');
bad('nothing to run', 2, 'no images and no --input', 'run', $rows);
bad('no such model', 2, '/none.onnx: No such file', 'inspect',
    "$dir/none.onnx");
bad('a budget', 2, '--winograd-budget: "64M" is no number', 'run', $rows,
    $image[0], '--winograd-budget', '64M');
bad('a shape', 2, '--input-shape: "1xx3" is no shape', 'inspect', $rows,
    '--input-shape', '1xx3');
bad('a shape without a name that does not fit', 2, 'dimension 1 of input',
    'inspect', $rows, '--input-shape', '1x2x3x3');

like(good('help', '--help'), qr/Commands.*inspect.*check/s, 'help');
like(good('version', '--version'), qr/^infer \d+\.\d+\.\d+ \(\w+\)$/,
     'version');

for my $command (qw(inspect run eval bench check)) {
    like(good("$command --help", $command, '--help'),
         qr/^usage: infer $command .*--help.*\nExamples:\n  infer $command/s,
         "$command --help");
}

SKIP: {
    -w '/dev/full' or skip('no /dev/full', 1);
    is(system("$infer inspect $rows >/dev/full 2>/dev/null") >> 8, 2,
       'output that cannot be written');
}


# ---- inspect --------------------------------------------------------------

my $facts = good_json('inspect', 'inspect', $sum);

is_deeply($facts->{inputs},
          [ { name => 'x', dtype => 'float32', shape => [-1, 3] },
            { name => 'y', dtype => 'float32', shape => [-1, 3] } ],
          'inputs');
is($facts->{outputs}[0]{name}, 'out/z:0', 'outputs');
is_deeply($facts->{operators}, { Add => 1, Relu => 1 }, 'operators');
is($facts->{format}, 'onnx', 'format');
is($facts->{opset}, 17, 'opset');
is($facts->{preprocessing}, undef, 'no preprocessing without an image');

$facts = good_json('inspect rows', 'inspect', $rows);

is($facts->{parameters}, 30, 'parameters');
is($facts->{macs}, 27, 'MACs');
is($facts->{preprocessing}{color}, 'gray', 'preprocessing');
cmp_ok($facts->{session_bytes}, '>', 0, 'session memory');

like(good('inspect as text', 'inspect', $rows),
     qr/^inputs +image +float32 +Nx1x3x3$/m, 'text');

bad('text as model', 2, 'names\.txt: ', 'inspect', $names);


# ---- run on images --------------------------------------------------------

my $answer = good_json('run', 'run', $rows, @image, @raw);

is(scalar @$answer, 3, 'an answer for each image');

for my $k (0 .. 2) {
    is($answer->[$k]{file}, $image[$k], "image $k: file");
    is($answer->[$k]{top}[0]{class}, $k, "image $k: class");
    near($answer->[$k]{top}[0]{probability}, $p, "image $k: probability");
    is(scalar @{ $answer->[$k]{top} }, 3, "image $k: all there are");
    ok(!exists $answer->[$k]{top}[0]{label}, "image $k: no label");
}

$answer = good_json('run', 'run', $rows, $image[1], @raw, '--top=1',
                    '--labels', $names);

is_deeply([ map { $_->{label} } @{ $answer->[0]{top} } ], ['middle'],
          'one label');

like(good('run as text', 'run', $rows, $image[2], @raw, '--labels', $names),
     qr/\A\Q$image[2]\E:  bottom   90\.94 %\n +top +4\.53 %\n/, 'text');

unlike(good('labels that a terminal obeys', 'run', $rows, $image[0], @raw,
            '--labels', spew("$dir/evil.txt", "\e[2J\n\xc2\x9b2J\nc\n")),
       qr/\e|\x9b/, 'no escape sequence gets through');

my ($status, $out, $err) = infer_from($image[1], 'run', $rows, '-', @raw);
is($status, 0, 'standard input');
like($out, qr/^-:  class 1 /, 'standard input: its class');

# the broken one is reported, the others are classified
my $broken = spew("$dir/broken.png", substr(slurp($image[0]), 0, 50));
$out = bad('broken image', 1, '/broken\.png: ', 'run', $rows, $image[2],
           $broken, $image[0], @raw, '--json');
$answer = decode_json($out);
is(join(' ', map { $_->{top} ? $_->{top}[0]{class} : 'error' } @$answer),
   '2 error 0', 'the others are classified');
ok($answer->[1]{error}, 'and the broken one has its error');

bad('no such image', 1, 'none\.png: No such file', 'run', $rows,
    "$dir/none.png", @raw);
bad('an image of another size', 1, 'small\.png: 2x2 pixels are not', 'run',
    $rows, spew("$dir/small.png", png(2, 2, 1, 2, 3, 4)), '--preprocess',
    'resize=0 crop=0');
bad('too many pixels', 1, 'row0\.png: ', 'run', $rows, $image[0], @raw,
    '--max-pixels', 8);
bad('bad preprocessing', 2, '--preprocess: .*sharpen', 'run', $rows,
    $image[0], '--preprocess', 'sharpen=9');
bad('too few labels', 2, '2 labels for a model of 3', 'run', $rows,
    $image[0], '--labels', spew("$dir/two.txt", "a\nb\n"));
bad('images for no classifier', 2, 'sum\.onnx: ', 'run', $sum, $image[0]);

good('save input', 'run', $rows,
     spew("$dir/ramp.png", png(3, 3, map { 20 * $_ } 0 .. 8)),
     '--preprocess', 'resize=3 crop=3 mean=0.5 std=0.25',
     '--save-input', "$dir/saved.npy");

my ($shape, @x) = read_npy("$dir/saved.npy");
is($shape, '1, 1, 3, 3', 'saved shape');
near($x[$_], (20 * $_ / 255 - 0.5) / 0.25, "saved value $_") for 0, 4, 8;


# ---- run on tensors -------------------------------------------------------

my $x = spew("$dir/x.npy", npy('<f4', '2, 3', pack 'f<*', 1 .. 6));
my $y = spew("$dir/y.npy", npy('<f4', '2, 3',
                               pack('f<*', 0, 20, -40, 10, -30, 50), 1));

$out = good('tensors', 'run', $sum, '--input', "y=$y", '--input', "x=$x",
            '--output-dir', "$dir/out");
like($out, qr{^\Q$dir\E/out/out_z_0\.npy: float32 2x3$}m, 'told');

# y is in Fortran order: its rows are (0, -40, -30) and (20, 10, 50)
($shape, @x) = read_npy("$dir/out/out_z_0.npy");
is("$shape: @x", '2, 3: 1 -38 -27 24 15 56', 'the sum');
($shape, @x) = read_npy("$dir/out/r.npy");
is("$shape: @x", '2, 3: 1 0 0 24 15 56', 'the second output');

my $one = spew("$dir/one.npy", npy('<f4', '1, 1, 3, 3', pack 'f<*', 1 .. 9));
good('one input needs no name', 'run', $rows, '-i', $one, '-o', "$dir/out");
($shape, @x) = read_npy("$dir/out/scores.npy");
is("$shape: @x", '1, 3: 6 15 24', 'its scores');

my @to = ('--output-dir', "$dir/out");

bad('input missing', 2, 'input "y" is missing', 'run', $sum, '--input',
    "x=$x", @to);
bad('no such input', 2, 'no input "w"; the inputs are "x", "y"', 'run', $sum,
    '--input', "w=$x", '--input', "y=$y", @to);
bad('name needed', 2, 'which of the inputs', 'run', $sum, '--input', $x,
    '--input', "y=$y", @to);
bad('the same twice', 2, 'input "x" is given twice', 'run', $sum, '--input',
    "x=$x", '--input', "x=$x", @to);
bad('batches differ', 2, 'input "y" is Nx3, the tensor is 1x3', 'run', $sum,
    '--input', "x=$x", '--input',
    'y=' . spew("$dir/y1.npy", npy('<f4', '1, 3', pack 'f<*', 1 .. 3)), @to);
bad('wrong dtype', 2, 'input "x" is float32, the tensor is float64', 'run',
    $sum, '--input', 'x=' . spew("$dir/d.npy", npy('<f8', '2, 3',
                                                   pack 'd<*', 1 .. 6)),
    '--input', "y=$y", @to);
bad('truncated tensor', 2, 't\.npy: 20 bytes of data where .* needs 24',
    'run', $sum, '--input', 'x=' . spew("$dir/t.npy",
                                        npy('<f4', '2, 3', pack 'f<*', 1 .. 5)),
    '--input', "y=$y", @to);
bad('no place for outputs', 2, '--output-dir', 'run', $sum, '--input', $x);


# ---- eval -----------------------------------------------------------------

# two right, and an image of row 1 that is said to be of class 2
sub folders {
    my ($root, @names) = @_;
    spew("$root/$names[$_]/a.png", slurp($image[$_])) for 0, 2;
    spew("$root/$names[1]/not an image.txt", '');
    spew("$root/$names[2]/b.PNG", slurp($image[1]));
    return $root;
}

for ([ 'numbers', 0, 1, 2 ], [ 'order', 'ape', 'bee', 'cow' ]) {
    my ($what, @names) = @$_;
    my $result = good_json("folders: $what", 'eval', $rows,
                           folders("$dir/$what", @names), @raw);
    is($result->{images}, 3, "$what: images");
    near($result->{top1}, 2 / 3, "$what: top1");
    is($result->{top5}, 1, "$what: top5");
}

# in the order of the names it would be (bottom, middle, top)
my $data = folders("$dir/labels", 'top', 'middle', 'bottom');
my $result = good_json('folders: labels', 'eval', $rows, $data, @raw,
                       '--labels', $names, '--per-class', '--batch', 2,
                       '--logits', "$dir/logits.npy");
near($result->{top1}, 2 / 3, 'labels: top1');
is_deeply($result->{confusion}, [ [1, 0, 0], [0, 0, 0], [0, 1, 1] ],
          'confusion');
is_deeply($result->{per_class}, [ 1, undef, 0.5 ], 'per class');

($shape, @x) = read_npy("$dir/logits.npy");
is("$shape: @x", '3, 3: 0 0 3 0 3 0 3 0 0', 'logits, folders being sorted');

like(good('eval as text', 'eval', $rows, $data, @raw, '--labels', $names,
          '--per-class'),
     qr/^top-1 +66\.67 %\n.*^ +2 +bottom +2 +50\.00 % +middle \(1\)$/ms,
     'text');

my $csv = spew("$dir/set/labels.csv",
               "\xef\xbb\xbfid,label,file\r\n1,top,\"../row0.png\"\r\n"
               . "2,1,../row1.png\r\n\r\n3,\"bottom\",../row0.png\r\n");
for my $path ($csv, "$dir/set") {
    $result = good_json('csv', 'eval', $rows, $path, @raw, '--labels',
                        $names);
    is($result->{images}, 3, 'csv: images');
    near($result->{top1}, 2 / 3, 'csv: top1');
}

bad('csv without labels', 2, 'labels\.csv:2: "top" is no class from 0 to 2',
    'eval', $rows, $csv, @raw);
bad('csv without columns', 2, 'columns file and label', 'eval', $rows,
    spew("$dir/c.csv", "path,class\na.png,1\n"), @raw);
bad('class out of range', 2, 'c\.csv:2: "3" is no class', 'eval', $rows,
    spew("$dir/c.csv", "file,label\nrow0.png,3\n"), @raw);
bad('too few folders', 2, '2 folders for 3 classes', 'eval', $rows,
    do { make_path("$dir/few/a", "$dir/few/b"); "$dir/few" }, @raw);
bad('an odd folder', 2, 'the folder "x" is no class', 'eval', $rows,
    do { make_path("$dir/odd/0", "$dir/odd/x"); "$dir/odd" }, @raw);
bad('no images', 2, 'no images', 'eval', $rows,
    do { make_path("$dir/none/0"); "$dir/none" }, @raw);
bad('no data', 2, 'nowhere: No such file', 'eval', $rows, "$dir/nowhere");

$out = bad('unreadable among them', 1, 'broken\.png', 'eval', $rows,
           spew("$dir/c.csv",
                "file,label\nrow0.png,0\nbroken.png,1\nrow2.png,2\n"),
           @raw, '--json', '--logits', "$dir/logits.npy");
$result = decode_json($out);
is("$result->{images} $result->{top1}", '2 1', 'the others are counted');
($shape, @x) = read_npy("$dir/logits.npy");
is(join(' ', $shape, map { $_ == $_ ? $_ : 'nan' } @x),
   '3, 3 3 0 0 nan nan nan 0 0 3', 'logits of the unreadable are NaN');

my $idx = "\0\0\x08\x03" . pack 'N3C*', 3, 3, 3, lit(0), lit(1), lit(2);
my $idx_labels = "\0\0\x08\x01" . pack 'NC*', 3, 0, 1, 1;

spew("$dir/t-labels-idx1-ubyte", $idx_labels);
$result = good_json('MNIST format', 'eval', $rows,
                    spew("$dir/t-images-idx3-ubyte", $idx), @raw);
is($result->{images}, 3, 'MNIST format: images');
near($result->{top1}, 2 / 3, 'MNIST format: top1');

gzip(\$idx, \my $idx_gz);
gzip(\$idx_labels, \my $labels_gz);
spew("$dir/z-labels-idx1-ubyte.gz", $labels_gz);
$result = good_json('gzipped', 'eval', $rows,
                    spew("$dir/z-images-idx3-ubyte.gz", $idx_gz), @raw);
near($result->{top1}, 2 / 3, 'gzipped: top1');

bad('MNIST format, truncated', 2, 'truncated', 'eval', $rows,
    spew("$dir/t-images-idx3-ubyte", substr $idx, 0, -1), @raw);
spew("$dir/t-labels-idx1-ubyte", "\0\0\x08\x01" . pack 'NC*', 3, 0, 1, 7);
bad('MNIST format, wrong class', 2, 'image 2 is of class 7', 'eval', $rows,
    spew("$dir/t-images-idx3-ubyte", $idx), @raw);


# ---- bench ----------------------------------------------------------------

$result = good_json('bench', 'bench', $rows, '--runs', 20, '--batch', 4,
                    '--threads', 2, '--per-op');

cmp_ok($result->{$_}, '>', 0, $_)
    for qw(min_ms median_ms p99_ms images_per_s peak_rss_mb load_ms);
cmp_ok($result->{min_ms}, '<=', $result->{median_ms}, 'min <= median');
cmp_ok($result->{median_ms}, '<=', $result->{p99_ms}, 'median <= p99');
is("$result->{batch} $result->{threads} $result->{runs}", '4 2 20',
   'what was measured');
my $share = 0;
$share += $_->{share} for @{ $result->{per_op} };
near($share, 1, 'the shares of all steps');
cmp_ok($result->{peak_gflops}, '>', 0, 'a peak');
ok(!(grep { $_->{of_peak} < 0 || $_->{gflops} > 0 && abs($_->{of_peak}
     * $result->{peak_gflops} / $_->{gflops} - 1) > 1e-6 }
     @{ $result->{per_op} }), 'shares of the peak');

like(good('bench as text', 'bench', $rows, '--runs=3',
          '--winograd-budget=0', '--per-op', '--sort=time'),
     qr/^median .* ms\n.*GFLOP.* of peak/ms, 'text');
bad('sort what', 2, '--sort', 'bench', $rows, '--sort', 'time');


# ---- check ----------------------------------------------------------------

sub case_of {
    my ($path, $op, @expected) = @_;

    spew("$path/model.onnx", Fixture::Onnx::model(
        inputs => [ ['x', 1, 3] ], outputs => [ ['y', 1, 3] ],
        nodes => [ Fixture::Onnx::node($op, ['x'], ['y']) ]));
    spew("$path/test_data_set_0/input_0.pb",
         Fixture::Onnx::floats('x', [3], [-1, 2, 1000]));
    spew("$path/test_data_set_0/output_0.pb",
         Fixture::Onnx::floats('y', [3], [@expected]));
    return $path;
}

my $pass = case_of("$dir/cases/pass", 'Relu', 0, 2, 1000.9);
my $fail = case_of("$dir/cases/fail", 'Relu', 0, 2, 1001.1);
my $skip = case_of("$dir/cases/skip", 'Frobnicate', 0, 0, 0);

is(good('a case that passes', 'check', $pass),
   "1 passed, 0 failed, 0 skipped\n", 'within 0.1 %');

($status, $out, $err) = infer('check', $fail);
is("$status $err", '1 ', 'a case that fails');
like($out, qr/\Afailed \Q$fail\E: output "y": \[2\] is 1000, expected 1001\..*
0 passed, 1 failed, 0 skipped\n\z/, 'where it fails');

like(good('a case that is skipped', 'check', $skip, '-v'),
     qr/\Askipped \Q$skip\E: .*Frobnicate.*
0 passed, 0 failed, 1 skipped\n\z/, 'why');

($status, $out) = infer('check', "$dir/cases", '--skips');
is($status, 1, 'all of them');
like($out, qr/^     1  .*Frobnicate.*\n1 passed, 1 failed, 1 skipped\n\z/m,
     'counted, with reasons');

spew("$pass/test_data_set_1/input_0.pb",
     Fixture::Onnx::floats('x', [3], [1, 2, 3]));
spew("$pass/test_data_set_1/output_0.pb",
     Fixture::Onnx::floats('y', [3], [1, 2, 4]));
like((infer('check', $pass))[1], qr/^0 passed, 1 failed/m,
     'the second data set counts');
spew("$pass/test_data_set_1/output_0.pb",
     Fixture::Onnx::floats('y', [1, 3], [1, 2, 3]));
like((infer('check', $pass))[1], qr/is 3, expected 1x3/, 'a wrong shape');
spew("$pass/test_data_set_1/output_0.pb",
     Fixture::Onnx::longs('y', [3], [1, 2, 3]));
like((infer('check', $pass))[1], qr/is float32, expected int64/,
     'a wrong dtype');

# as ONNX's runner sees it: the inputs must be what the model declares
spew("$skip/model.onnx", slurp("$fail/model.onnx"));
spew("$skip/test_data_set_0/input_0.pb",
     Fixture::Onnx::floats('x', [2], [1, 2]));
like((infer('check', $skip, '-v'))[1],
     qr/contradicts its model: input "x" is 3, the tensor is 2$/m,
     'inputs that the model does not take');

# the oldest tests do not name their tensors
spew("$skip/model.onnx", Fixture::Onnx::model(
    inputs => [ ['x', 1, 2], ['y', 1, 2] ],
    outputs => [ ['z', 1, 2] ],
    nodes => [ Fixture::Onnx::node('Sub', ['x', 'y'], ['z']) ]));
spew("$skip/test_data_set_0/input_0.pb",
     Fixture::Onnx::floats('', [2], [5, 7]));
spew("$skip/test_data_set_0/input_1.pb",
     Fixture::Onnx::floats('', [2], [2, 3]));
spew("$skip/test_data_set_0/output_0.pb",
     Fixture::Onnx::floats('', [2], [3, 4]));
is((infer('check', $skip))[1], "1 passed, 0 failed, 0 skipped\n",
   'tensors without names');

bad('no cases', 2, 'no case in it', 'check', "$dir/few");


# ---- FashionNet -----------------------------------------------------------

SKIP: {
    my $models = '../shared/models/fashion';
    my $set = '/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz';

    -d $models && -e $set or skip('FashionNet or its test set is not here', 1);

    my @fashion = ('--preprocess', 'resize=0 crop=0 mean=0.286 std=0.353');
    my $known = decode_json(slurp("$models/eval.json"));
    my @logits = unpack 'f<*', slurp("$models/test_logits_f32_10000x10.bin");

    for my $name (qw(fashion_op17 fashion_op13_bn)) {
        $result = good_json("$name: eval", 'eval', "$models/$name.onnx", $set,
                            '--per-class', '--logits', "$dir/logits.npy",
                            @fashion);

        is($result->{images}, 10000, "$name: images");
        is($result->{top1}, 0.9253, "$name: top1");
        near($result->{top5}, $known->{top5}, "$name: top5");
        is_deeply($result->{confusion}, $known->{confusion},
                  "$name: every class");

        ($shape, @x) = read_npy("$dir/logits.npy");
        my $worst = 0;
        for my $i (0 .. $#logits) {
            my $d = abs($x[$i] - $logits[$i]);
            $worst = $d if !($d <= $worst);
        }
        is($shape, '10000, 10', "$name: logits");
        cmp_ok($worst, '<=', 1e-4, "$name: logits within 1e-4");
    }

    $result = good_json('images as files', 'eval',
                        "$models/fashion_op17.onnx", "$models/png",
                        @fashion,
                        '--logits', "$dir/png.npy");
    ($shape, @x) = read_npy("$dir/png.npy");
    is($shape, "$result->{images}, 10", 'a row for each file');

    # more threads than processors: those sleep where others watch
    for my $threads (1, 2, 7) {
        good("threads: $threads", 'eval', "$models/fashion_op17.onnx",
             "$models/png", @fashion, '--threads', $threads, '--batch', 3,
             '--logits', "$dir/threads.npy");
        ok(slurp("$dir/threads.npy") eq slurp("$dir/png.npy"),
           'the same bits');
    }
}

done_testing();
