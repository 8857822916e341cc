# Triton's own client (tritonclient, from PyPI) talks to the module: metadata,
# inference in JSON and binary on a small and a large model, classification,
# images, many requests at a time, errors.

use strict;
use warnings;

use lib 't/lib', 't/models';

use File::Spec::Functions qw(rel2abs);
use Fixture::Infer;
use ModelTest;
use Test::More;

$ENV{TEST_NGINX_RESNET} = rel2abs("$MODELS/resnet18.onnx");
$ENV{TEST_NGINX_SMALL} = rel2abs("$MODELS/fashion.infer");

# Each has its own preprocessing, in one location: so it must be in its file.
my ($status, undef, $err) = infer('convert', $Fixture::Infer::model, '-o',
    $ENV{TEST_NGINX_SMALL}, '--labels', "$ENV{TEST_NGINX_MODELS}/"
    . 'fashion.labels', '--preprocess',
    'resize=28 crop=28 mean=0.2860 std=0.3530');
is($status, 0, 'infer convert') or diag $err;

my $nginx = started(
    root_location => 0,
    max_body => '64m',
    main   => 'thread_pool one threads=1;',
    server => <<'CONF');
        location / {
            infer_model $TEST_NGINX_SMALL;
            infer_model $TEST_NGINX_RESNET name=resnet18;
            infer_thread_pool one;
            infer_queue 64;
        }
CONF

open my $client, '-|', "$MODELS/triton/bin/python", 't/models/triton.py',
     $nginx->{port}, $MODELS or die "python: $!\n";

while (<$client>) {
    ok(/^ok (.*)/, s/^(?:not )?ok //r =~ s/\n//r);
}

close $client;
is($?, 0, 'the client has come to its end');

stops_cleanly($nginx);
done_testing();
