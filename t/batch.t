# Batches: infer_batch.  Whatever a request shares its batch with, its answer
# has the bits that it has alone; and what becomes of one of them is nothing to
# the others.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(time);

use Fixture::Http;
use Fixture::Infer;
use Fixture::Kserve;
use Fixture::Onnx;

# A batch that is not full waits for ever, as far as a test is concerned.
my $FOR_EVER = '10m';

my %part = (
    root_location => 0,
    files => {
        'html/mlp.onnx'  => Fixture::Onnx::mlp(64, 96, 80, 16),
        'html/sum.onnx'  => Fixture::Onnx::model(
            nodes => [Fixture::Onnx::node('Add', ['a', 'b'], ['sum'])],
            inputs => [['a', 1, 'N', 3], ['b', 1, 'N', 3]],
            outputs => [['sum', 1, 'N', 3]]),
        'html/slow.onnx' => slow_model(0.3),
    },
    main   => 'thread_pool one threads=1; thread_pool two threads=2;',
    http   => 'infer_thread_pool one; infer_top_k 3;
               infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;
               log_format s "$uri $status"; access_log $ROOT/logs/s.log s;',
    server => <<"CONF");
        location = /metrics { infer_metrics; }
        location = /status { infer_status; }

        location /alone/ {
            infer_model \$ROOT/html/mlp.onnx name=alone;
            infer_model \$ROOT/html/sum.onnx name=sum;
            infer_model $Fixture::Infer::model name=fashion;
        }
        location /full/ {
            infer_model \$ROOT/html/mlp.onnx name=full;
            infer_model \$ROOT/html/sum.onnx name=fullsum;
            infer_model $Fixture::Infer::model name=fullfashion;
            infer_batch size=8 delay=$FOR_EVER;
        }
        location /rows/ {
            infer_model \$ROOT/html/mlp.onnx name=rows;
            infer_batch size=4 delay=$FOR_EVER;
        }
        location /late/ {
            infer_model \$ROOT/html/mlp.onnx name=late;
            infer_batch size=8 delay=1s;
        }
        location /timeout/ {
            infer_model \$ROOT/html/mlp.onnx name=timeout;
            infer_batch size=2 delay=$FOR_EVER;
            infer_timeout 200ms;
        }
        location /now/ {
            infer_model \$ROOT/html/mlp.onnx name=now;
            infer_batch size=8;
            infer_queue 64;
        }
        location /slow {
            infer_model \$ROOT/html/slow.onnx;
            infer_preprocess resize=112 crop=112;
            infer_thread_pool two;
            infer_batch size=2 delay=$FOR_EVER;
            infer_queue 2;
        }
        location /helped {
            infer_model \$ROOT/html/slow.onnx name=helped;
            infer_preprocess resize=112 crop=112;
            infer_thread_pool two;
            infer_batch size=4 delay=$FOR_EVER;
            infer_threads 2;
        }
        location /unhelped {
            infer_model \$ROOT/html/slow.onnx name=unhelped;
            infer_preprocess resize=112 crop=112;
        }
CONF

my $nginx = started(%part);
my $port = $nginx->{port};

sub answers {
    my @all = map { { port => $port, packets => [$_] } } @_;

    Fixture::Http::exchange_all(\@all, timeout => 60);

    return map { Fixture::Http::parse($_->{raw}) } @all;
}

sub code { return (answers($_[0]))[0]{code} }

# A request with binary tensors of the MLP, one or more rows.
sub rows {
    my ($model, $rows) = @_;
    my $json = encode_json({
        inputs => [{ name => 'x', datatype => 'FP32',
                     shape => [length($rows) / 256, 64],
                     parameters => { binary_data_size => length $rows } }],
        parameters => { binary_data_output => JSON::PP::true } });

    return post("/$model/v2/models/$model/infer", $json . $rows,
                'Inference-Header-Content-Length: ' . length $json);
}

# The binary part of the answer, or its status.
sub raw {
    my ($res) = @_;
    my $json = $res->{headers}{'inference-header-content-length'};

    return ($res->{code} // 0) != 200 ? 'status ' . ($res->{code} // 'none')
           : defined $json ? substr $res->{body}, $json : 'no tensor';
}

sub metric {
    my ($name, %label) = @_;
    my $text = Fixture::Http::ask(
        $port, Fixture::Http::request('GET', '/metrics'))->{body};

    for ($text =~ /^$name\{(.*)\n/mg) {
        my ($labels, $value) = /(.*)\} (\S+)$/;
        return $value if !grep { $labels !~ /\b$_="\Q$label{$_}\E"/ }
                               keys %label;
    }

    return;
}

# Sizes of batches that a model has run: { size => how often }.
sub batches {
    my ($name) = @_;
    my $status = decode_json(Fixture::Http::ask(
        $port, Fixture::Http::request('GET', '/status'))->{body});
    my ($model) = grep { $_->{name} eq $name } @{ $status->{models} };

    return $model->{batches};
}

sub logged {
    my ($line) = @_;

    return Fixture::Nginx::wait_for(20, sub {
        return $nginx->read_log('s.log') =~ /^\Q$line\E$/m;
    });
}


# ---- the same bits ---------------------------------------------------------

srand 7;
my @row = map { pack 'f<*', map { rand(4) - 2 } 1 .. 64 } 1 .. 16;
my @alone = map { raw($_) } answers(map { rows('alone', $_) } @row);

is(length $alone[0], 64, 'a row of 16 numbers');
isnt($alone[0], $alone[1], 'and another');

my @full = map { raw($_) } answers(map { rows('full', $_) } @row);

is_deeply([map { unpack 'H*', $_ } @full], [map { unpack 'H*', $_ } @alone],
          'sixteen requests at once: the bits that each has alone');
is_deeply(batches('full'), { 8 => 2 }, 'full batches go at once');
is_deeply(batches('alone'), { 1 => 16 }, 'off by default');

is(metric('infer_batch_size_bucket', model => 'full', le => 4), 0,
   'metrics: no batch up to 4');
is(metric('infer_batch_size_bucket', model => 'full', le => 8), 2,
   'two up to 8');
is(metric('infer_batch_size_sum', model => 'full'), 16, '16 rows');
is(metric('infer_batch_size_count', model => 'full'), 2, 'in two batches');

my $stats = decode_json(Fixture::Http::ask($port, Fixture::Http::request(
    'GET', '/full/v2/models/full/stats'))->{body})->{model_stats}[0];

is($stats->{inference_count}, 16, 'statistics: inference_count');
is($stats->{execution_count}, 2, 'execution_count');
is(scalar @{ $stats->{batch_stats} }, 1, 'batch_stats: one size');
is($stats->{batch_stats}[0]{batch_size}, 8, 'which is 8');
is($stats->{batch_stats}[0]{"compute_$_"}{count}, 2, "compute_$_: two")
    for qw(input infer output);
cmp_ok($stats->{batch_stats}[0]{compute_infer}{ns}, '>', 0, 'and their time');


# ---- requests with rows of their own ---------------------------------------

my @own = (join('', @row[0 .. 4]), $row[5], join('', @row[6 .. 8]),
           join('', @row[9, 10]));

is(unpack('H*', join '', map { raw($_) }
                answers(map { rows('rows', $_) } @own)),
   unpack('H*', join '', @alone[0 .. 10]),
   'requests of 5, 1, 3 and 2 rows: the same bits');
is_deeply(batches('rows'), { 4 => 2, 3 => 1 }, 'their rows share batches');
is(metric('infer_batch_size_sum', model => 'rows'), 11, '11 rows');

# Two inputs.
sub sum {
    my ($where, $name, $a, $b) = @_;

    return post("/$where/v2/models/$name/infer", encode_json({ inputs => [
        tensor('b', 'FP32', [1, 3], $b), tensor('a', 'FP32', [1, 3], $a) ] }));
}

my @sums = map { decode_json($_->{body})->{outputs}[0]{data} }
           answers(map { sum('full', 'fullsum', [$_, 2 * $_, 0],
                             [1, 1, -$_]) } 1 .. 8);
is_deeply([sort { $a->[0] <=> $b->[0] } @sums],
          [map { [$_ + 1, 2 * $_ + 1, -$_] } 1 .. 8], 'two inputs');


# ---- images, all protocols, and mistakes -----------------------------------

my @images = map { image($_) } qw(9-boot.png 1-trouser.jpg 0-tshirt.png);
my $big = 'x' x 100;

sub mixed {
    my ($where, $name) = @_;
    my $kserve = "/$where/v2/models/$name/infer";
    my $b64 = encode_base64($images[1], '');

    return (
        post("/$where/v1/models/$name:predict",
             encode_json({ instances => [{ b64 => $b64 }] })),
        post($kserve, $images[0], 'Inference-Header-Content-Length: 0'),
        post("/$where/predictions/$name", $images[2]),
        post("/$where/predictions/$name", "no image: $big"),
        post($kserve, '{"inputs": 5}'),
        post($kserve, encode_json({ inputs => [
            tensor('input', 'FP32', [1, 1, 28, 27], [(0) x 756])] })),
        post($kserve, encode_json({ inputs => [
            tensor('input', 'BYTES', [2], [$b64, 'AAAA'])] })),
        post($kserve, encode_json({ inputs => [
            tensor('input', 'FP32', [1, 1, 28, 28],
                   [map { $_ % 28 / 28 } 1 .. 784])] })),
    );
}

sub told {
    return map { my $body = $_->{body}; $body =~ s/fullfashion/fashion/g;
                 "$_->{code} $body" } @_;
}

my @expected = told(answers(mixed('alone', 'fashion')));
my @mixed = told(answers(mixed('full', 'fullfashion')));

is_deeply([map { substr $_, 0, 3 } @expected],
          [200, 200, 200, 415, 400, 422, 415, 200], 'eight requests, apart');
is_deeply(\@mixed, \@expected, 'and in one batch');
is_deeply(batches('fullfashion'), { 4 => 1 }, 'in which four took part');

# An image that neither resize nor crop makes fit is found when its batch is
# put together.
my $unfit = started(
    files  => {},
    http   => 'infer_preprocess resize=0 crop=0 mean=0.2860 std=0.3530;',
    server => <<"CONF");
        location /p {
            infer_model $Fixture::Infer::model;
            infer_batch size=4 delay=$FOR_EVER;
        }
        location = /status { infer_status; }
CONF

$port = $unfit->{port};
my @fit = answers(map { post('/p', $_) }
                  Fixture::Image::plain(27, 9, 9, 9), $images[0],
                  Fixture::Image::plain(29, 9, 9, 9), $images[0]);
is(join(' ', map { $_->{code} } @fit), '422 200 422 200',
   'images of the wrong size fail alone');
is($fit[1]{body}, $fit[3]{body}, 'the others have their answers');
is_deeply(batches('fashion'), { 2 => 1 }, 'in a batch of two');
stops_cleanly($unfit);
$port = $nginx->{port};

# A row that overflows is nothing to the others.
my $huge = pack 'f<*', (3e38, -3e38) x 32;
@full = map { raw($_) }
        answers(map { rows('full', $_) } $huge, @row[1 .. 6], $huge);
is_deeply([map { unpack 'H*', $_ } @full[1 .. 6]],
          [map { unpack 'H*', $_ } @alone[1 .. 6]],
          'infinite numbers in a batch stay where they are');


# ---- delay -----------------------------------------------------------------

my $start = time;
is(unpack('H*', raw((answers(rows('late', $row[0])))[0])),
   unpack('H*', $alone[0]), 'a lone request is answered');
cmp_ok(time - $start, '>', 0.9, 'after the delay');

is_deeply([map { unpack 'H*', raw($_) }
           answers(map { rows('late', $_) } @row[1 .. 3])],
          [map { unpack 'H*', $_ } @alone[1 .. 3]], 'three within the delay');
is_deeply(batches('late'), { 1 => 1, 3 => 1 }, 'are a batch');

my @now = answers(map { rows('now', $_) } (@row) x 4);
is_deeply([map { unpack 'H*', raw($_) } @now],
          [map { unpack 'H*', $_ } (@alone) x 4], 'without a delay');
is(metric('infer_batch_size_sum', model => 'now'), 64, 'all have run');


# ---- requests that end before their batch ----------------------------------

is(code(rows('timeout', $row[0])), 504,
   'infer_timeout while the batch waits');
is(code(rows('timeout', $row[0])), 200,
   'its place in the batch is the next one\'s');
is_deeply(batches('timeout'), { 1 => 1 }, 'which ran without it');

my $slow = slow_image();
my $sock = Fixture::Http::connect_to($port);
syswrite $sock, post('/slow', $slow);
close $sock;
ok(logged('/slow 499'), 'a client leaves while its batch waits');
is(code(post('/slow', $slow)), 200, 'another is answered');

$sock = Fixture::Http::connect_to($port);
syswrite $sock, post('/slow', $slow);
my $other = in_background(sub { [map { $_->{code} }
                                 answers(post('/slow', $slow))] });
ok(Fixture::Nginx::wait_for(10, sub {
    return metric('infer_requests_running', model => 'slow');
}), 'a batch of two runs');
close $sock;
is("@{ $other->() }", 200, 'one leaves, the other is answered');

# More than infer_queue lets run and wait.
my @crowd = map { $_->{code} } answers((post('/slow', $slow)) x 9);
my %count;
$count{$_}++ for @crowd;
is(join(' ', sort keys %count), '200 503', 'too many are refused');
cmp_ok($count{200}, '>=', 4, 'two that run and two that wait are answered');


# ---- helpers ---------------------------------------------------------------

my @helped = map { $_->{body} =~ s/unhelped|helped/slow/r }
             answers(post('/unhelped', $slow), (post('/helped', $slow)) x 4);
is(scalar(grep { $_ eq $helped[0] } @helped), 5,
   'infer_threads: the same answer');
is_deeply(batches('helped'), { 4 => 1 }, 'of a batch of four');


# ---- reload and the end ----------------------------------------------------

# $n requests, most likely while they wait for the end of the delay.
sub waiting {
    my ($n) = @_;
    my $sent = in_background(sub {
        return [map { raw($_) } answers(map { rows('late', $_) }
                                        @row[0 .. $n - 1])];
    });

    Fixture::Nginx::wait_for(2, sub {
        return metric('infer_requests_waiting', model => 'late') == $n;
    });

    return $sent;
}

my $sent = waiting(3);
my @old = $nginx->workers;
$nginx->signal('HUP');
is_deeply([map { unpack 'H*', $_ } @{ $sent->() }],
          [map { unpack 'H*', $_ } @alone[0 .. 2]],
          'reload: a batch that waits is run');
ok(Fixture::Nginx::wait_for(20, sub {
    my %now = map { $_ => 1 } $nginx->workers;
    return %now && !grep { $now{$_} } @old;
}), 'old workers end');
is(join(' ', metric('infer_requests_waiting', model => 'late'),
        metric('infer_requests_running', model => 'late')), '0 0',
   'nothing is left');

$sent = waiting(2);
$nginx->signal('QUIT');
is_deeply([map { unpack 'H*', $_ } @{ $sent->() }],
          [map { unpack 'H*', $_ } @alone[0, 1]],
          'QUIT: a batch that waits is run');
ok($nginx->wait_exit(20), 'nginx ends');
is($nginx->{status}, 0, 'with status 0');
is(join("\n", $nginx->complaints), '', 'nothing alarming is logged');

$nginx = started(%part);
$port = $nginx->{port};
$sent = waiting(2);
$nginx->signal('TERM');
ok($nginx->wait_exit(20), 'TERM: nginx ends');
is($nginx->{status}, 0, 'with status 0');
is(join("\n", $nginx->complaints), '', 'nothing alarming is logged');
eval { $sent->() };

done_testing();
