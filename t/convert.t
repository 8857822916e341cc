# infer convert and the .infer file: made twice it has the same bytes, every
# command and the module take it in place of the ONNX file, what is damaged is
# refused with its reason, and what happens to the file of a running model
# harms no worker.  (Every byte of a file: t/engine/file.c.)

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Compress::Zlib qw(crc32);
use Cwd qw(abs_path);
use File::Copy qw(copy);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);

use Fixture::Cli;
use Fixture::Http;
use Fixture::Infer;
use Fixture::Onnx;

my $onnx = "$ENV{TEST_NGINX_MODELS}/fashion.onnx";
my $labels = "$ENV{TEST_NGINX_MODELS}/fashion.labels";
my $spec = 'resize=28 crop=28 mean=0.2860 std=0.3530';
my @described = ('--labels', $labels, '--preprocess', $spec);
my $boot = abs_path('t/data/fashion/9-boot.png');


sub good {
    my ($what, @args) = @_;
    my ($status, $out, $err) = infer(@args);

    is("$status $err", '0 ', $what);

    return $out;
}

sub json { return JSON::PP->new->utf8->decode(good(@_, '--json')) }

# It fails with one line that matches.
sub bad {
    my ($what, $pattern, @args) = @_;
    my ($status, undef, $err) = infer(@args);

    is($status, 2, "$what: exit status 2");
    like($err, qr/\Ainfer: [^\n]*$pattern[^\n]*\n\z/, "$what: its line");
}

# The table of sections: [position of its checksum, kind, offset, size].
sub sections {
    my ($data) = @_;
    my $n = unpack 'Q<', substr $data, 24, 8;

    return map { [32 + 24 * $_ + 4,
                  (unpack 'L<L<Q<Q<', substr $data, 32 + 24 * $_, 24)[0, 2,
                                                                      3]] }
           0 .. $n - 1;
}

# The same with all checksums right.
sub repaired {
    my ($data) = @_;
    my @s = sections($data);

    for my $i (0 .. $#s) {
        my $end = $i < $#s ? $s[$i + 1][2] : length $data;
        substr($data, $s[$i][0], 4) = pack 'L<',
            crc32(substr $data, $s[$i][2], $end - $s[$i][2]);
    }

    substr($data, 12, 4) = pack 'L<', 0;
    substr($data, 12, 4) = pack 'L<', crc32(substr $data, 0, $s[0][2]);

    return $data;
}


# ---- writing --------------------------------------------------------------

my $file = "$dir/fashion.infer";
like(good('convert', 'convert', $onnx, '-o', $file, @described),
     qr/\A\Q$file\E: [0-9.]+ kB, from [0-9.]+ kB\n\z/, 'what convert tells');
my $bytes = slurp($file);

mkdir "$dir/elsewhere";
copy($onnx, "$dir/elsewhere/fashion.onnx");
copy($labels, "$dir/elsewhere/fashion.labels");
is(json('again, from another place', 'convert',
        "$dir/elsewhere/fashion.onnx", '--preprocess', $spec, '--labels',
        "$dir/elsewhere/fashion.labels", '-o', "$dir/b")->{bytes},
   length $bytes, 'the size, as JSON');
ok(slurp("$dir/b") eq $bytes, 'the same bytes');
unlike($bytes, qr/\Q$dir\E/, 'no path is in it');

for my $isa (qw(scalar avx2)) {
    local $ENV{INFER_ISA} = $isa;
    good("convert with $isa", 'convert', $onnx, '-o', "$dir/b", @described);
    ok(slurp("$dir/b") eq $bytes, "the same bytes with $isa");
}

good('convert without Winograd', 'convert', $onnx, '-o', "$dir/b",
     '--winograd-budget', 0);
cmp_ok(-s "$dir/b", '<', length $bytes, 'is smaller');

bad('nowhere', 'where to', 'convert', $onnx);
bad('over itself', 'over itself', 'convert', $onnx, '-o', $onnx);
bad('a device', 'is not a file', 'convert', $onnx, '-o', '/dev/null');
bad('no directory', 'No such file', 'convert', $onnx, '-o', "$dir/no/x");
bad('twice', 'converted again', 'convert', $file, '-o', "$dir/x");
spew("$dir/two", "a\nb\n");
bad('two labels', '2 labels for a model of 10 classes', 'convert', $onnx,
    '-o', "$dir/x", '--labels', "$dir/two");
bad('another size', 'crop=32', 'convert', $onnx, '-o', "$dir/x",
    '--preprocess', 'crop=32');
bad('no setting', 'expected', 'convert', $onnx, '-o', "$dir/x",
    '--preprocess', 'crop');
is(join(' ', glob "$dir/x* $dir/*.part"), '',
   'nothing is left of what failed');

spew("$dir/kept", 'old');
bad('a failure', 'labels', 'convert', $onnx, '-o', "$dir/kept", '--labels',
    "$dir/two");
is(slurp("$dir/kept"), 'old', 'leaves the old file as it was');


# ---- reading --------------------------------------------------------------

my $plain = json('the ONNX file', 'run', $onnx, $boot, @described);
copy($file, "$dir/named.onnx");

for my $path ($file, "$dir/named.onnx") {
    my $same = json("run $path", 'run', $path, $boot);
    is_deeply($same, $plain, 'the same answer, from what the file says');
}

my $from_onnx = json('inspect the ONNX file', 'inspect', $onnx);
my $from_file = json('inspect', 'inspect', $file);
my @kinds = map { $_->{kind} } @{ delete $from_file->{sections} };

is(join(' ', @kinds), 'model source golden', 'its sections');
is_deeply(delete $from_file->{source},
          { file => 'fashion.onnx', format => 'onnx', tool => 'infer 0.1.0',
            options => "--labels fashion.labels --preprocess \"$spec\"" },
          'its source');
is($from_file->{format}, 'infer', 'its format');
is_deeply($from_file->{labels}, [split /\n/, slurp($labels)], 'its labels');
is($from_file->{preprocessing}{crop}, 28, 'its preprocessing');
delete @$_{qw(format labels preprocessing model_bytes)}
    for $from_onnx, $from_file;
is_deeply($from_file, $from_onnx, 'all else is as in the ONNX file');
like(good('inspect as text', 'inspect', $file),
     qr/^sections +model .*^made of +fashion\.onnx$/ms, 'as text');

ok(json('bench', 'bench', $file, '--runs', 1)->{median_ms} > 0, 'it runs');
bad('a shape', 'shapes of an .infer file are fixed', 'run', $file, $boot,
    '--input-shape', '1x1x28x28');

my $middle = length($bytes) / 2;
my %broken = (
    truncated => [substr($bytes, 0, $middle), 'is truncated'],
    longer    => ["$bytes\0", 'is too long'],
    flipped   => [$bytes ^ ("\0" x $middle . "\1"),
                  'section 0 \(model\) is damaged'],
    padding   => [$bytes ^ ("\0" x (length($bytes) - 1) . "\1"),
                  'section 2 \(golden\) is damaged'],
    newer     => [repaired(substr($bytes, 0, 8) . pack('L<', 2)
                           . substr $bytes, 12), 'version 2.*too old'],
    hostile   => [repaired($bytes ^ ("\0" x ((sections($bytes))[0][2] + 47)
                                     . "\x7f")), 'a table lies outside'],
);

for my $name (sort keys %broken) {
    spew("$dir/$name", $broken{$name}[0]);
    bad($name, "$name: .*$broken{$name}[1]", 'run', "$dir/$name", $boot);
}


# ---- all operators --------------------------------------------------------

# What can be inspected can be written, and passes the check of a file.
my @models = glob '/usr/share/libonnx-testdata/data/node/*/model.onnx';
my ($written, @failed) = (0);

for my $model (@models[grep { $_ % 3 == 0 } 0 .. $#models]) {
    my ($status) = infer('convert', $model, '-o', "$dir/node.infer");
    $written += $status == 0;
    push @failed, $model if $status && (infer('inspect', $model))[0] == 0;
}

is(join(' ', @failed), '', 'models of single operators');
cmp_ok($written, '>=', 100, "$written of them");


# ---- the module -----------------------------------------------------------

my %part = (workers => 2, listen => 'reuseport', server => <<'CONF');
        location /infer {
            infer_model $ROOT/html/model.infer;
            add_header X-Worker $pid;
        }
        location /onnx {
            infer_model $TEST_NGINX_MODELS/fashion.onnx name=model;
            infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
            $TEST_NGINX_LABELS
        }
CONF
my $nginx = started(%part, files => { 'html/model.infer' => $bytes });
my $model = $nginx->path('html/model.infer');
my $request = post('/infer', image('9-boot.png'));

sub ask { return Fixture::Http::ask($nginx->{port}, $_[0])->{body} }

my $answer = ask(post('/onnx', image('9-boot.png')));
like($answer, qr/\A\{"class": 9, "label": "Ankle boot"/, 'an ONNX file');
is(ask($request), $answer, 'an .infer file: the same, with its labels');

# The file is harmed while requests run: all have the same answer.
my @harm = (
    [truncated   => sub { truncate $model, 100 or die }],
    [overwritten => sub { open my $f, '+<', $model or die;
                          print $f "\xff" x length $bytes; close $f }],
    [replaced    => sub { spew("$model.new", 'no model');
                          rename "$model.new", $model or die }],
    [deleted     => sub { unlink $model or die }],
);

for my $harm (@harm) {
    my ($name, $do) = @$harm;

    my $load = in_background(sub {
        my @all = map { { port => $nginx->{port}, packets => [$request] } }
                  1 .. 400;
        Fixture::Http::exchange_all(\@all, limit => 8, timeout => 30);
        return [map { Fixture::Http::parse($_->{raw})->{body} } @all];
    });

    sleep 0.05;
    $do->();
    my %bodies = map { $_ => 1 } @{ $load->() };
    is(join('', keys %bodies), $answer, "under load its file is $name");
    is(ask($request), $answer, 'and afterwards the answer is the same');
}

# A golden output that does not come out.
my $golden = (sections($bytes))[2];
$broken{golden} = [
    repaired($bytes ^ ("\0" x ($golden->[2] + $golden->[3] - 1) . "\1")),
    'self-test: output 0 is not what it was'];

my @workers = sort $nginx->workers;

for my $name (sort keys %broken) {
    my $count = () = $nginx->read_log('error.log') =~ /\[emerg\]/g;

    $nginx->write_file('html/model.infer', $broken{$name}[0]);
    $nginx->signal('HUP');

    ok(Fixture::Nginx::wait_for(10, sub {
        return $nginx->read_log('error.log')
               =~ /\[emerg\][^\n]*model\.infer: [^\n]*$broken{$name}[1]/;
    }), "a reload with a file that is $name: its [emerg] line");
    sleep 0.2;
    is((() = $nginx->read_log('error.log') =~ /\[emerg\]/g) - $count, 1,
       'one line');
    is_deeply([sort $nginx->workers], \@workers, 'the old workers stay');
    is(ask($request), $answer, 'and serve');
}

# The self-test passes with all instruction sets, and of files of all.
{
    local $ENV{INFER_ISA} = 'blas';
    good('convert with blas', 'convert', $onnx, '-o', "$dir/blas",
         @described);
}

my %made = (fused => $bytes, blas => slurp("$dir/blas"));

for my $isa (qw(avx512 avx2 scalar blas)) {
    local $ENV{INFER_ISA} = $isa;

    for my $name (sort keys %made) {
        my $other = started(%part,
                            files => { 'html/model.infer' => $made{$name} });
        like(Fixture::Http::ask($other->{port}, $request)->{body},
             qr/\A\{"class": 9, /, "$isa serves a file made by $name");
        stops_cleanly($other);
    }
}

# Another model in its place.
spew("$dir/constant.onnx", Fixture::Onnx::constant(0, 0, 0, 9, (0) x 6));
good('another model', 'convert', "$dir/constant.onnx", '-o', $model);
$nginx->signal('HUP');
ok(Fixture::Nginx::wait_for(10, sub { return ask($request) =~ prediction(3) }),
   'a reload with another model: it answers');

stops_cleanly($nginx, qr/\[emerg\].*model\.infer/);
done_testing();
