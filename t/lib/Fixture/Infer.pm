package Fixture::Infer;

# What the tests of the module share: where the models and images are (as
# $TEST_NGINX_... variables, too), requests with images in them, and a model
# that takes a given time on this machine.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use Storable qw(store_fd fd_retrieve);
use Test::More ();
use Time::HiRes qw(time);

use Fixture::File;
use Fixture::Http;
use Fixture::Image;
use Fixture::Nginx;
use Fixture::Onnx;

our @EXPORT = qw(image post form slurp under_sanitizer slow_model slow_image
                 prediction started configured stops_cleanly in_background
                 codes shared_mappings);

my $top = abs_path(dirname(__FILE__) . '/../../..');
our $model = "$top/conf/models/fashion.onnx";

$ENV{TEST_NGINX_MODELS} = "$top/conf/models";
$ENV{TEST_NGINX_DATA} = "$top/t/data";

# A location's directives for the default model.
$ENV{TEST_NGINX_FASHION} = join ' ',
    "infer_model $model;",
    'infer_preprocess resize=28 crop=28 mean=0.2860 std=0.3530;';
$ENV{TEST_NGINX_LABELS} = "infer_labels $top/conf/models/fashion.labels;";


# A file of t/data/fashion.
sub image { return slurp("$top/t/data/fashion/$_[0]") }


# Bytes of a POST of a body; headers are lines.
sub post {
    my ($uri, $body, @headers) = @_;

    return Fixture::Http::request('POST', $uri, body => $body,
                                  headers => \@headers);
}


# The body of a form with one part of this name.
sub form {
    my ($name, $content) = @_;
    my (undef, $body) = Fixture::Http::multipart(
        'b', Fixture::Http::part($name, $content, 'a.png'));

    return $body;
}


# What a prediction of this class looks like, whatever comes after it.
sub prediction {
    my ($class) = @_;

    return qr/\A\{"class": ?$class, ?"confidence": ?(?:0\.\d+|1(?:\.0*)?)[,}]/;
}


# Whether the module reports to a sanitizer: then all is several times slower.
sub under_sanitizer { return ($ENV{TEST_NGINX_LD_PRELOAD} // '') =~ /san/ }


# The read-only shared mappings of a process: inode => { field => KB }.
sub shared_mappings {
    my ($pid) = @_;
    my (%all, $fields);

    for (split /\n/, slurp("/proc/$pid/smaps")) {
        if (/^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ (\d+)/) {
            $fields = $1 eq 'r--s' ? $all{$2} //= {} : undef;
        } elsif ($fields && /^(\w+):\s+(\d+) kB/) {
            $fields->{$1} += $2;
        }
    }

    return \%all;
}


# A server of its own with files => { name => bytes } and the parts of a
# configuration (see Fixture::Nginx::config), in which TEST_NGINX_... variables
# and $ROOT, the server's prefix, are replaced.  Dies when it does not start.
sub started {
    my (%part) = @_;
    my $files = delete $part{files} // {};
    my $nginx = Fixture::Nginx->new(daemon => delete $part{daemon});

    $nginx->write_file($_, $files->{$_}) for keys %$files;
    configured($nginx, %part);

    return $nginx if $nginx->start;

    die "nginx does not start:\n", $nginx->read_log('stderr.log'),
        $nginx->read_log('error.log');
}


# Writes the configuration of a server from parts, as above.
sub configured {
    my ($nginx, %part) = @_;

    for (values %part) {
        next if !defined;
        s/\$(TEST_NGINX_\w+)/$ENV{$1}/g;
        s/\$ROOT\b/$nginx->{root}/g;
    }

    $nginx->configure(master => 1, connections => 512, %part);
}


# The last tests of a script: nginx quits when it is told to, and has left no
# alert, emergency, crash or report of a sanitizer but those like $expected.
sub stops_cleanly {
    my ($nginx, $expected) = @_;

    Test::More::ok($nginx->stop, 'nginx quits');
    my @complaints = grep { !defined $expected || !/$expected/ }
                     $nginx->complaints;
    Test::More::is(join("\n", @complaints), '', 'nothing alarming is logged');
}


# Runs $code in a child; returns a function that waits for its result (a
# reference).
sub in_background {
    my ($code) = @_;

    pipe my $in, my $out or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        close $in;
        my $result = eval { $code->() } // "died: $@";
        store_fd(ref $result ? $result : \$result, $out);
        close $out;
        POSIX::_exit(0);
    }

    close $out;

    return sub {
        my $result = fd_retrieve($in);
        waitpid $pid, 0;
        die $$result if ref $result eq 'SCALAR';
        return $result;
    };
}


# The status codes of exchanges with how often each came: "200: 5, 503: 1".
sub codes {
    my %count;

    $count{ Fixture::Http::parse($_->{raw})->{code}
            // $_->{error} // 'none' }++ for @_;

    return join ', ', map { "$_: $count{$_}" } sort keys %count;
}


# A model (ONNX bytes) of which one prediction takes about $seconds here.
sub slow_model {
    my ($seconds) = @_;
    my $depth = 4;

    # The second time around the estimate is good enough for any machine.
    for (1 .. 2) {
        my $took = _time_of(Fixture::Onnx::slow($depth));
        $depth = int($depth * ($seconds < $took ? 1 : $seconds / $took)) || 1;
        $depth = 2000 if $depth > 2000;
        last if $took > $seconds / 4;
    }

    return Fixture::Onnx::slow($depth);
}


sub _time_of {
    my ($bytes) = @_;
    my $nginx = Fixture::Nginx->new;

    $nginx->write_file('html/slow.onnx', $bytes);
    $nginx->configure(
        server => 'location /p { infer_model ' . $nginx->path('html/slow.onnx')
                  . '; infer_preprocess resize=112 crop=112; }');
    $nginx->start or die "nginx does not start:\n",
                         $nginx->read_log('stderr.log');

    my $took = 1e9;

    for (1 .. 2) {
        my $start = time;
        my $res = Fixture::Http::ask($nginx->{port}, post('/p', slow_image()),
                                     timeout => 60);
        die "no prediction: $res->{body}\n" if ($res->{code} // 0) != 200;
        my $seconds = time - $start;
        $took = $seconds if $seconds < $took;
    }

    $nginx->stop;

    return $took;
}


# An image as the slow model wants it.
sub slow_image {
    our $slow_image //= Fixture::Image::plain(112, 200, 100, 50);

    return $slow_image;
}


1;
