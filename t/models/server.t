# The module on large models: it answers what the command answers, its workers
# share one copy of the weights, and its event loop stays free.

use strict;
use warnings;

use lib 't/lib', 't/models';

use File::Spec::Functions qw(rel2abs);
use Fixture::Http;
use Fixture::Nginx;
use JSON::PP;
use ModelTest;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $FASHION = '../shared/models/fashion';
my $PREPROCESS = 'resize=28 crop=28 color=gray mean=0.286 std=0.353';
my $PHOTOGRAPH = '/usr/share/backgrounds/Bridge_by_Sander_Klootwijk.jpg';

# Bytes a worker may take beside its session: the request, the image (1 MB
# decoded), the stack of a thread, what libraries hold.
my $OTHER = 8_000_000;


# Starts a server; locations: path => model, or [model, further directives].
sub serve {
    my ($locations, %parts) = @_;

    my $nginx = Fixture::Nginx->new();

    for my $path (sort keys %$locations) {
        my ($model, @more) = ref $locations->{$path} ? @{$locations->{$path}}
                                                     : $locations->{$path};

        $model = rel2abs($model);
        $parts{server} .= join "\n", "location $path {",
                                     "infer_model $model;", @more,
                                     "add_header X-Worker \$pid;", "}\n";
    }

    $nginx->configure(max_body => '64m', master => 1, log_level => 'notice',
                      %parts);
    $nginx->write_file('html/index.html', 'static');

    $nginx->start() or BAIL_OUT('nginx does not start: '
                                . $nginx->read_log('stderr.log')
                                . $nginx->read_log('error.log'));

    return $nginx;
}


# Class and confidence, the latter as the bytes of the float that it stands
# for: JSON may write the same one in several ways.
sub result {
    my ($class, $confidence) = @_;

    return "$class " . unpack 'H*', pack 'f>', $confidence;
}


# What the command says about each image.
sub command {
    my ($model, $images, @options) = @_;

    my ($status, $out, $err) = infer('run', $model, @$images, '--json',
                                     '--top', 1, @options);
    is($status, 0, "infer run $err");

    return map { result(@{$_->{top}[0]}{qw(class probability)}) }
           @{decode_json($out)};
}


# What the server says about an image.
sub answer {
    my ($nginx, $file) = @_;

    my $request = Fixture::Http::request('POST', '/predict',
                                         body => slurp($file));
    my $answer = Fixture::Http::ask($nginx->{port}, $request, timeout => 60);

    return "status $answer->{code}: $answer->{body}" if $answer->{code} != 200;

    return result(@{decode_json($answer->{body})}{qw(class confidence)});
}


# Bytes of the fields of smaps, summed over the mappings that $which accepts.
sub smaps {
    my ($pid, $which, @fields) = @_;
    my ($sum, $taken) = (0, 0);

    for (split /\n/, slurp("/proc/$pid/smaps")) {
        if (/^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ (\S+) (\d+)/) {
            $taken = $which->($1, "$2:$3");

        } elsif ($taken && /^(\w+): +(\d+) kB/) {
            $sum += $2 * 1024 for grep { $_ eq $1 } @fields;
        }
    }

    return $sum;
}


sub private { smaps($_[0], sub { 1 }, qw(Private_Clean Private_Dirty)) }


# Inodes of shared read-only mappings and their sizes.
sub shared {
    my ($pid) = @_;
    my %size;

    smaps($pid, sub { $size{$_[1]} = 0 if $_[0] eq 'r--s'; 0 });
    $size{$_} = weights($pid, $_, 'Size') for keys %size;

    return \%size;
}


sub weights {
    my ($pid, $inode, @fields) = @_;

    return smaps($pid, sub { $_[0] eq 'r--s' && $_[1] eq $inode }, @fields);
}


subtest 'FashionNet: the answers of the command' => sub {
    plan skip_all => "$FASHION is not here" unless -d $FASHION;

    my $model = "$FASHION/fashion_op17.onnx";
    my @images = sort glob "$FASHION/png/*.png";
    my @expected = command($model, \@images, '--preprocess', $PREPROCESS);
    my $nginx = serve({ '/predict' => [ $model,
                                        "infer_preprocess $PREPROCESS;" ] });

    cmp_ok(scalar @images, '>=', 200, 'images');
    is_deeply([ map { answer($nginx, $_) } @images ], \@expected,
              'classes and confidences of all images');
    is_deeply([ $nginx->complaints() ], [], 'no complaints');
};


subtest 'resnet18: a photograph' => sub {
    my $model = "$MODELS/resnet18.onnx";
    my $nginx = serve({ '/predict' => $model });

    for my $file ($PHOTOGRAPH, "$MODELS/input/photo.png") {
        my ($expected) = command($model, [ $file ]);

        is(answer($nginx, $file), $expected, "$file: $expected");
    }
};


subtest 'four workers share the weights of resnet50' => sub {
    my $model = "$MODELS/resnet50.onnx";
    my $request = Fixture::Http::request('POST', '/predict', body =>
                                         slurp("$MODELS/input/photo.png"));
    my $nginx = serve({ '/predict' => [ $model,
                                        'infer_thread_pool one;' ] },
                      workers => 4, main => 'thread_pool one threads=1;');
    # nginx listens before it forks.
    Fixture::Nginx::wait_for(10, sub { $nginx->workers() == 4 });
    my @workers = $nginx->workers();
    my ($status, $json) = infer('inspect', $model, '--json');
    my $session = decode_json($json)->{session_bytes};
    my %before = map { $_ => private($_) } @workers;
    my (%answered, %body);

    is(scalar @workers, 4, 'workers') or return;

    for (1 .. 50) {
        my @exchanges = map { { port => $nginx->{port},
                                packets => [ $request ] } } 1 .. 8;

        Fixture::Http::exchange_all(\@exchanges, timeout => 60);

        for my $answer (map { Fixture::Http::parse($_->{raw}) } @exchanges) {
            $answered{$answer->{headers}{'x-worker'} // 'none'}++;
            $body{$answer->{body}}++;
        }

        last if (grep { ($answered{$_} // 0) >= 5 } @workers) == 4;
    }

    is_deeply([ sort keys %answered ], [ sort @workers ],
              'each worker has answered');
    is(scalar keys %body, 1, 'with the same bytes');

    # The largest one is the model's, wherever else nginx shares memory.
    my $shared = shared($workers[0]);
    my ($inode) = sort { $shared->{$b} <=> $shared->{$a} } keys %$shared;
    my $size = $shared->{$inode // ''} // 0;

    cmp_ok($size, '>', 100_000_000, "a shared read-only mapping: $size bytes");

    my $pss = 0;

    for my $pid (@workers) {
        is(weights($pid, $inode, 'Size'), $size, "mapped in worker $pid");
        is(weights($pid, $inode, qw(Private_Clean Private_Dirty)), 0,
           'with no page of its own');
        $pss += weights($pid, $inode, 'Pss');

        my $growth = private($pid) - $before{$pid};
        cmp_ok($growth, '<', $session + $OTHER,
               sprintf 'private memory grew by %.1f MB, %.1f of it a session',
                       $growth / 1e6, $session / 1e6);
    }

    cmp_ok($pss, '<=', $size, 'all of them together hold it once');
    diag(sprintf 'weights %.1f MB, shared by 4 workers; private growth of a '
                 . 'worker %s MB', $size / 1e6,
                 join ' ', map { sprintf '%.1f',
                                 (private($_) - $before{$_}) / 1e6 }
                           @workers);
};


# Seconds that the static file takes.
sub static {
    my ($nginx) = @_;

    my $request = Fixture::Http::request('GET', '/index.html');
    my $start = time;
    my $answer = Fixture::Http::ask($nginx->{port}, $request);

    die "static file: $answer->{body}\n" if $answer->{body} ne 'static';

    return time - $start;
}


# In milliseconds.
sub percentile {
    my ($p, @seconds) = @_;

    return 1000 * (sort { $a <=> $b } @seconds)[$p / 100 * $#seconds];
}


# One thread leaves one of two processors to the event loop: the question is
# whether it waits for predictions, not how the kernel shares processors.  A
# second server, which does nothing but this, tells what of a delay is due to
# whatever else the machine does.
subtest 'a static file while 8 slow predictions run' => sub {
    my $idle = serve({});
    my $nginx = serve({ '/predict' => [ "$MODELS/vgg16.onnx",
                                        'infer_thread_pool slow;' ] },
                      main => 'thread_pool slow threads=1;');
    my $request = Fixture::Http::request('POST', '/predict', body =>
                                         slurp("$MODELS/input/photo.png"));
    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        my @exchanges = map { { port => $nginx->{port},
                                packets => [ $request ] } } 1 .. 24;

        Fixture::Http::exchange_all(\@exchanges, limit => 8, timeout => 120);
        POSIX::_exit(scalar grep { $_->{raw} !~ m{^HTTP/1.1 200} } @exchanges);
    }

    my $begin = time;
    my (@busy, @idle);

    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        push @busy, static($nginx);
        push @idle, static($idle);
        select undef, undef, undef, 0.002;
    }

    is($?, 0, 'every prediction is answered');
    cmp_ok(scalar @busy, '>=', 200, 'static files in that time');
    cmp_ok(percentile(99, @busy) - percentile(99, @idle), '<', 5,
           'milliseconds of p99 more than on the idle server');

    diag(sprintf '24 predictions of vgg16, 8 at a time: %.1f s; %d static '
                 . 'files: median %.2f ms, p99 %.2f ms, max %.2f ms (idle '
                 . 'server: %.2f, %.2f, %.2f)', time - $begin, scalar @busy,
                 map { percentile(50, @$_), percentile(99, @$_),
                       percentile(100, @$_) } \@busy, \@idle);
};


done_testing();
