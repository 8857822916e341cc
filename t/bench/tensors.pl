# What requests for tensors cost besides the model: 150,528 floats (an image of
# 3x224x224) in JSON and binary, both ways, through a server whose model only
# changes signs.  Reading is what infer_metrics counts as "decode": from the
# body to the input.  Writing is "respond", which ends when the last byte is
# sent: so it is printing and sending.  What sending alone takes is measured
# with a file of the answer's size, as the client sees it.
#
#     TEST_NGINX_LOAD_MODULES=MODULE perl t/bench/tensors.pl

use strict;
use warnings;

use lib 't/lib';

use Fixture::Http;
use Fixture::Infer;
use Fixture::Onnx;
use Time::HiRes qw(time);

my $N = 150_528;
my $TURNS = $ENV{BENCH_ROUNDS} || 20;

my $nginx = started(
    root_location => 0,
    max_body => '64m',
    main => 'thread_pool one threads=1;',
    http => 'client_body_buffer_size 16m; infer_thread_pool one;',
    files => { 'html/neg.onnx' => Fixture::Onnx::model(
        nodes => [Fixture::Onnx::node('Neg', ['x'], ['y'])],
        input => ['N', $N], output => ['N', $N]) },
    server => <<'CONF');
        location / { infer_model $ROOT/html/neg.onnx; }
        location = /metrics { infer_metrics; }
        location /file/ { alias $ROOT/html/; }
CONF

# The milliseconds that all requests have spent in a phase.
sub spent {
    my ($phase) = @_;
    my $text = Fixture::Http::ask($nginx->{port},
        Fixture::Http::request('GET', '/metrics'))->{body};

    return 1000 * ($text =~ /^infer_phase_seconds_sum\{[^}]*
                             phase="$phase"\}\ (\S+)$/mx)[0];
}

sub median { return (sort { $a <=> $b } @_)[$#_ / 2] }

srand 1;
my $floats = pack 'f<*', map { sqrt(-2 * log(1 - rand)) * cos(6.2832 * rand) }
                         1 .. $N;
my @values = unpack 'f<*', $floats;

# As Python writes what it holds as doubles, and as those write it who know
# that nine digits are enough.
my %text = ('JSON, 17 digits' => '%.17g', 'JSON, 9 digits' => '%.9g');
my %request;

for my $how (keys %text, 'binary') {
    my $raw = $text{$how} ? '' : $floats;
    my $data = $text{$how}
               ? '"data":[' . join(',', map { sprintf $text{$how}, $_ }
                                        @values) . ']'
               : '"parameters":{"binary_data_size":' . 4 * $N . '}';
    my $json = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,' . $N
               . "],$data}],\"parameters\":{\"binary_data_output\":"
               . ($raw ? 'true' : 'false') . '}}';

    $request{$how} = Fixture::Http::request('POST', '/v2/models/neg/infer',
        body => $json . $raw,
        headers => [$raw ? 'Inference-Header-Content-Length: ' . length $json
                         : ()]);
}

my (%took, %answer);

sub sending {
    my ($size) = @_;
    my $request = Fixture::Http::request('GET', "/file/$size");

    $nginx->write_file("html/$size", 'x' x $size);

    return median(map { my $start = time;
                        Fixture::Http::ask($nginx->{port}, $request);
                        1000 * (time - $start) } 0 .. $TURNS);
}

for (1 .. $TURNS) {
    for my $how (sort keys %request) {
        my @before = map { spent($_) } qw(decode respond);
        my $res = Fixture::Http::ask($nginx->{port}, $request{$how});
        die "$how: $res->{body}\n" if $res->{code} != 200;

        # The last phase ends after the client has the answer.
        my @after;
        for (1 .. 100) {
            @after = map { spent($_) } qw(decode respond);
            last if $after[1] > $before[1];
        }

        push @{ $took{$how}{$_} }, $after[$_] - $before[$_] for 0, 1;
        $answer{$how} = length $res->{body};
    }
}

printf "%-16s %10s %10s %10s %10s %13s\n", "$N floats", 'request', 'reading',
       'answer', 'writing', 'sending alone';

for my $how (sort keys %request) {
    printf "%-16s %7.2f MB %7.2f ms %7.2f MB %7.2f ms %10.2f ms\n", $how,
           length($request{$how}) / 1e6, median(@{ $took{$how}{0} }),
           $answer{$how} / 1e6, median(@{ $took{$how}{1} }),
           sending($answer{$how});
}

$nginx->stop;
