# The same body gives the same answer to the last digit: from every worker, on
# every thread, alone or beside others.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;

use Fixture::Http;
use Fixture::Infer;

my $nginx = started(
    workers => 4,
    listen  => 'reuseport',
    main    => 'thread_pool two threads=2;',
    server  => <<'CONF');
        location /p {
            $TEST_NGINX_FASHION
            infer_thread_pool two;
            infer_top_k 10;
            infer_queue 100;
            add_header X-Worker $pid;
        }
CONF
my @images = ('0-tshirt.png', '6-shirt.png');
my (%workers, %bodies);

for my $round (1 .. 10) {
    my @all = map { my $name = $images[$_ % 2];
                    { name => $name, port => $nginx->{port},
                      packets => [post('/p', image($name))] } } 1 .. 64;
    Fixture::Http::exchange_all(\@all);
    is(codes(@all), '200: 64', "round $round");

    for my $x (@all) {
        my $res = Fixture::Http::parse($x->{raw});
        $workers{ $res->{headers}{'x-worker'} }++;
        $bodies{ $x->{name} }{ $res->{body} }++;
    }

    last if keys %workers == 4;
}

is(scalar keys %workers, 4, 'every worker has answered');

for my $name (@images) {
    is(scalar keys %{ $bodies{$name} }, 1, "$name: one answer")
        or diag(join '', sort keys %{ $bodies{$name} });
}

isnt(join('', keys %{ $bodies{ $images[0] } }),
     join('', keys %{ $bodies{ $images[1] } }), 'other image, other answer');

stops_cleanly($nginx);
done_testing();
