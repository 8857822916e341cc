package Test::Nginx::Socket;

# A stand-in for OpenResty's Test::Nginx::Socket, which Debian does not
# package: the part of its documented interface that t/*.t uses, on Debian's
# libtest-base-perl.  The test files run unchanged on the original: they say
#
#     BEGIN { push @INC, 't/lib' }
#     use Test::Nginx::Socket;
#
# so that this file is found only where the original is not installed:
#
#     TEST_NGINX_LOAD_MODULES=$PWD/PATH/TO/ngx_http_infer_module.so prove t/
#     PERL5LIB=/path/to/test-nginx/lib TEST_NGINX_LOAD_MODULES=... prove t/
#
# Blocks are counted as there: one test for the status (always), one for each
# response header, body or pattern line; error_log and no_error_log once for
# each request of a list.  Stricter than there: a block also fails when the
# response is cut short, when nginx logs [alert] or [emerg] that error_log
# does not ask for, crashes, does not quit, or a sanitizer reports.
#
# Environment: TEST_NGINX_BINARY, _LOAD_MODULES, _LD_PRELOAD (see
# Fixture::Nginx), _SERVROOT (t/servroot), _PORT (1984), _RANDOMIZE (1: a free
# port and t/servroot_PORT, for prove -j), _NO_SHUFFLE, _LOG_LEVEL.
# t/standin.t tests all of it.

use strict;
use warnings;

use Test::Base -base;

use File::Path qw(remove_tree);
use File::Spec;
use List::Util qw(shuffle);
use Time::HiRes qw(sleep time);

use Fixture::Http;
use Fixture::Nginx;

our @EXPORT = qw(run_tests repeat_each no_shuffle no_long_string
                 add_block_preprocessor worker_connections workers master_on
                 log_level server_root html_dir server_port timeout
                 env_to_nginx);

my %set = (
    repeat_each        => 1,
    worker_connections => 64,
    workers            => 1,
    log_level          => $ENV{TEST_NGINX_LOG_LEVEL} || 'debug',
    timeout            => 3,
    server_port        => $ENV{TEST_NGINX_PORT} || 1984,
);
my $shuffle = !$ENV{TEST_NGINX_NO_SHUFFLE};
my (@preprocessors, @env, $master, %rand_port, $nginx, $last_config);

if ($ENV{TEST_NGINX_RANDOMIZE}) {
    $set{server_port} = Fixture::Nginx::free_port();
}

my $root = File::Spec->rel2abs(
    $ENV{TEST_NGINX_RANDOMIZE} ? "t/servroot_$set{server_port}"
                               : $ENV{TEST_NGINX_SERVROOT} || 't/servroot');

$ENV{TEST_NGINX_SERVER_ROOT} = $root;
$ENV{TEST_NGINX_SERVER_PORT} //= $set{server_port};

# Test::More's reports should name the line of the test file.
$Test::Builder::Level = 1;


# ---- settings: called before run_tests ----------------------------------

for my $name (keys %set) {
    no strict 'refs';
    *$name = sub {
        $set{$name} = shift if @_;
        return $set{$name};
    };
}

sub no_shuffle () { $shuffle = 0 }

# Test::More's messages are used in any case.
sub no_long_string () { }

sub master_on () { $master = 1 }

sub env_to_nginx { push @env, @_ }

sub add_block_preprocessor (&) { unshift @preprocessors, shift }

sub server_root () { $root }

sub html_dir () { "$root/html" }


# ---- a file of blocks ---------------------------------------------------

sub run_tests () {
    for my $block ($shuffle ? shuffle(Test::Base::blocks())
                            : Test::Base::blocks())
    {
        $_->($block) for @preprocessors;
        $block->set_value(name => "$0 " . $block->name);
        _run_block($block);
    }

    remove_tree($root) if $ENV{TEST_NGINX_RANDOMIZE};
}


sub _run_block {
    my ($block) = @_;
    my $name = $block->name;
    my ($skip, $reason) = _skip($block);

    return if defined $block->SKIP;

    if ($skip) {
        $skip *= $set{repeat_each};
        SKIP: { Test::More::skip("$name - $reason", $skip) }
        return;
    }

    _prepare($block);

    if (defined $block->must_die) {
        _must_die($block);
        return;
    }

    if (!$nginx->start) {
        Test::More::fail("$name - nginx does not start");
        Test::More::diag($nginx->read_log('stderr.log'),
                         $nginx->read_log('error.log'));
        return;
    }

    if (defined $block->init) {
        eval 'package main; ' . $block->init;
        _bail_out($block, "init: $@") if $@;
    }

    $nginx->{log_from} = 0;
    _requests($block, $_) for 0 .. $set{repeat_each} - 1;

    Test::More::fail("$name - nginx does not quit") unless $nginx->stop;
    _complain($block);
}


sub _bail_out {
    my ($block, $text) = @_;

    $nginx->stop if $nginx;
    Test::More::BAIL_OUT($block->name . " - $text");
}


# How many tests of the block are skipped, and why.
sub _skip {
    my ($block) = @_;

    if (defined $block->skip_eval) {
        my ($n, $code) = $block->skip_eval =~ /^\s*(\d+)\s*:\s*(.*)/s
            or _bail_out($block, 'bad --- skip_eval');
        my $skip = eval "package main; $code";
        _bail_out($block, "skip_eval: $@") if $@;
        return ($n, 'skip_eval') if $skip;
    }

    if (defined $block->skip_nginx) {
        my ($n, $op, @v) = $block->skip_nginx =~
            /^\s*(\d+)\s*:\s*([<>]=?)\s*(\d+)\.(\d+)\.(\d+)
              (?:\s*:\s*(.*?))?\s*$/x
            or _bail_out($block, 'bad --- skip_nginx');
        my $cmp = Fixture::Nginx::version()
                  <=> $v[0] * 1_000_000 + $v[1] * 1000 + $v[2];
        my $skip = $op eq '<'  ? $cmp < 0  : $op eq '>'  ? $cmp > 0
                 : $op eq '<=' ? $cmp <= 0 : $cmp >= 0;
        return ($n, $v[3] // "nginx $op $v[0].$v[1].$v[2]") if $skip;
    }

    return 0;
}


# An empty server root with the block's files and configuration.
sub _prepare {
    my ($block) = @_;
    my $config = $block->config // $last_config;

    _bail_out($block, 'no --- config, here or before')
        unless defined $config;
    $last_config = $config;
    %rand_port = ();

    # Only what a server root is made of: the variable may be set wrongly.
    remove_tree(map { "$root/$_" } qw(conf logs html),
                map { "$root/${_}_temp" }
                qw(client_body proxy fastcgi scgi uwsgi));

    $nginx = Fixture::Nginx->new(root => $root, port => $set{server_port});
    $nginx->write_file('html/index.html',
                       '<html><head><title>It works!</title></head>'
                       . '<body>It works!</body></html>');
    _user_files($block);

    my $env = join '', map { /\s/ ? "env '$_';\n" : "env $_;\n" } @env;

    $nginx->configure(
        main        => $env . _expand($block, $block->main_config // ''),
        http        => _expand($block, $block->http_config // ''),
        server      => _expand($block, $config),
        max_body    => '30M',
        workers     => $set{workers},
        master      => $master,
        connections => $set{worker_connections},
        log_level   => $block->log_level // $set{log_level},
    );
}


sub _user_files {
    my ($block) = @_;
    my $files = $block->user_files // return;

    if (!ref $files) {
        my (undef, @parts) = split /^>>> (\S+[^\n]*)\n?/m, $files;
        my @list;

        while (my ($head, $body) = splice @parts, 0, 2) {
            my ($file, $date) = split ' ', $head, 2;
            push @list, [$file, $body, $date];
        }

        $files = \@list;
    }

    for my $file (@$files) {
        my ($name, $body, $date) = @$file;
        my $path = $nginx->write_file($name =~ m{^/} ? $name : "html/$name",
                                      _expand($block, $body // ''));
        next unless defined $date;
        local $ENV{TZ} = 'GMT';
        system('touch', '-t', $date, $path) == 0
            or _bail_out($block, "touch -t $date $path");
    }
}


# $TEST_NGINX_X is replaced by the environment variable, and
# $TEST_NGINX_RAND_PORT_N by a free port, the same within a block.
sub _expand {
    my ($block, $text) = @_;

    return $text if !defined $text || ref $text;

    $text =~ s{\$(TEST_NGINX_[_A-Z0-9]+)}{
        my $name = $1;
        $name =~ /^TEST_NGINX_RAND_PORT_\d+$/
        ? $rand_port{$name} //= Fixture::Nginx::free_port()
        : $ENV{$name} // _bail_out($block, "no environment variable $name")
    }ge;

    return $text;
}


sub _must_die {
    my ($block) = @_;
    my ($name, $code) = ($block->name, $block->must_die);

    for my $repeat (0 .. $set{repeat_each} - 1) {
        my $died = !$nginx->start;

        if (!$died) {
            Test::More::fail("$name - nginx must die, but it runs");
            $nginx->stop;

        } elsif ($nginx->{status} & 127) {
            Test::More::fail("$name - nginx died of a signal");

        } elsif ($code =~ /^\s*(\d+)\s*$/) {
            Test::More::is($nginx->{status} >> 8, $1,
                           "$name - dies with the expected exit code");

        } else {
            Test::More::isnt($nginx->{status}, 0, "$name - dies as expected");
        }

        $nginx->{log_from} = 0;
        _check_error_log($block, $repeat);
    }

    _complain($block);
}


# Fails for what must not be in any log.
sub _complain {
    my ($block) = @_;
    my @expected = map { ref $_ ? $_ : qr/\Q$_\E/ }
                   map { _patterns($_) } $block->error_log,
                                         $block->no_error_log;
    my @lines = grep { my $line = $_; !grep { $line =~ $_ } @expected }
                $nginx->complaints;

    @lines = grep { !/\[emerg\]/ } @lines if defined $block->must_die;

    Test::More::fail($block->name . " - $_") for @lines;
}


# ---- requests -----------------------------------------------------------

sub _requests {
    my ($block, $repeat) = @_;
    my $timeout = _time($block->timeout // $set{timeout});
    my @requests = _build_requests($block);
    my $answers = $block->pipelined_requests
                  ? @{ $block->pipelined_requests } : 1;
    my $many = @requests > 1 || $block->pipelined_requests;
    my $index = 0;

    _print_curl($block, $requests[0]) if defined $block->curl;

    while (my $packets = shift @requests) {
        my $x = { port => $set{server_port}, packets => $packets };
        $x->{shutdown} = $block->shutdown =~ /(\d)/ ? $1 : 1
            if defined $block->shutdown;
        Fixture::Http::exchange_all([$x], timeout => $timeout);

        Test::More::fail($block->name . ' - client socket timed out')
            if $x->{timed_out} && !defined $block->abort;

        my $raw = $x->{raw};

        for (1 .. $answers) {
            my $head = $packets->[0]{value} =~ /^\s*HEAD\s/;
            my $res = Fixture::Http::parse($raw, $head);
            $raw = $res->{left};

            if (!defined $block->ignore_response) {
                $res->{many} = $many;
                _check_response($block, $res, $index, $repeat);
            }

            _after_response($block, $repeat);
            $index++;
        }
    }
}


sub _after_response {
    my ($block, $repeat) = @_;

    sleep $block->wait if $block->wait;
    _check_error_log($block, $repeat);
    return if defined $block->ignore_response;

    _check_patterns($block, 'access_log', 'access.log', 0, $repeat);
}


sub _time {
    my ($text) = @_;

    return $text =~ /^\s*([\d.]+)ms\s*$/ ? $1 / 1000
         : $text =~ /^\s*([\d.]+)/ ? $1 : die "bad time: $text\n";
}


# The block's requests: each a list of packets { value, delay_before }.
sub _build_requests {
    my ($block) = @_;
    my $delay = $block->raw_request_middle_delay;

    if (defined $block->raw_request) {
        my $raw = $block->raw_request;
        return _delayed($delay, ref $raw ? @$raw : $raw);
    }

    if (my $list = $block->pipelined_requests) {
        my $all = '';

        for my $i (0 .. $#$list) {
            my ($packet) = _build($block, $i,
                                  $i == $#$list ? 'close' : 'keep-alive',
                                  _expand($block, $list->[$i]));
            $all .= $packet->{value};
        }

        return [{ value => $all }];
    }

    my $request = $block->request // _bail_out($block, 'no --- request');
    my @list = ref $request ? @$request : $request;

    return map { [_build($block, $_, 'close',
                         ref $list[$_] ? @{ $list[$_] } : $list[$_])]
               } 0 .. $#list;
}


sub _delayed {
    my ($delay, $first, @packets) = @_;

    return [{ value => $first },
            map { { value => $_, delay_before => $delay } } @packets];
}


# "METHOD [URI [VERSION]]\nBODY", possibly in several packets, becomes a
# request with headers.  The first packet has the request line, all headers
# and its part of the body.
sub _build {
    my ($block, $index, $connection, @packets) = @_;
    my @part = map { ref $_ ? { %$_ } : { value => $_ } } @packets;

    # Comments and blank lines before the request line.
    1 while $part[0]{value} =~ s/\A\s+|\A\#[^\n]*(?:\n|\z)//;

    my ($line, $body) = split /\n/, $part[0]{value}, 2;
    my ($method, $uri, $version) = split ' ', $line // '';
    _bail_out($block, 'no request line') unless defined $method;
    $part[0]{value} = $body // '';

    my ($headers, $chunked) = _more_headers($block, $index);

    if (!$chunked && $headers !~ /^Content-Length:/mi
        && grep { length $_->{value} } @part)
    {
        $part[0]{value} =~ s/\A\s+//;
        $part[-1]{value} =~ s/\s+\z//;
        my $length = 0;
        $length += length $_->{value} for @part;
        $headers .= "Content-Length: $length\r\n" if $length;
    }

    $headers = "Connection: $connection\r\n$headers"
        if $headers !~ /^Connection:/mi;
    $headers = "Host: localhost\r\n$headers" if $headers !~ /^Host:/mi;

    $part[0]{value} = "$method " . ($uri // '/') . ' '
                      . ($version // 'HTTP/1.1')
                      . "\r\n$headers\r\n$part[0]{value}";

    return @part;
}


sub _more_headers {
    my ($block, $index) = @_;
    my $text = $block->more_headers // '';

    if (ref $text) {
        $text = $text->[$index]
            // _bail_out($block, "more_headers lacks request $index");
    }

    my @lines = grep { length && !/^\s*#/ } split /[\r\n]+/, $text;
    my $out = join '', map { /^([^:]+):\s*(.*)$/ ? "$1: $2\r\n" : "$_: \r\n" }
                       @lines;

    return ($out, $out =~ /^Transfer-Encoding: chunked\r$/mi);
}


# The command line that sends the first request, for people to try.
sub _print_curl {
    my ($block, $packets) = @_;
    my ($head, $body) = split /\r\n\r\n/,
                        join('', map { $_->{value} } @$packets), 2;
    my ($line, @headers) = split /\r\n/, $head;
    my ($method, $uri) = split ' ', $line;
    my @args = ('curl', '-i', '-sS', split ' ', $block->curl_options // '');

    push @args, $method eq 'HEAD' ? '-I' : ('-X', $method)
        if $method ne 'GET';

    for (grep { !/^(?:Host: localhost$|Connection:|Content-Length:)/i }
         @headers)
    {
        push @args, /^User-Agent: (.*)/i ? ('-A', $1) : ('-H', $_);
    }

    push @args, '--data-binary', $body if length($body // '');
    push @args, "http://127.0.0.1:$set{server_port}$uri";
    warn '# ', join(' ', map { _quote($_) } @args), "\n";
}


sub _quote {
    my ($arg) = @_;

    return $arg if $arg =~ m{\A[-\w./=]+\z};
    $arg =~ s/'/'\\''/g;

    return "'$arg'";
}


# ---- checks -------------------------------------------------------------

# What a section expects of answer $index.
sub _value {
    my ($block, $section, $index, $many) = @_;
    my $value = $block->$section;

    return $value->[$index] if ref $value eq 'ARRAY';
    _bail_out($block, "$section must be a list, as the requests are")
        if $many;

    return $value;
}


sub _check_response {
    my ($block, $res, $i, $repeat) = @_;
    my $name = $block->name;
    my $what = "(repeated req $repeat, req $i)";
    my $get = sub { _value($block, $_[0], $i, $res->{many}) };

    if (defined $block->error_code_like) {
        my $pattern = $get->('error_code_like');
        Test::More::like($res->{code} // '', qr/$pattern/sm,
                         "$name - status code like $what");
    } else {
        my $code = defined $block->error_code ? $get->('error_code') : 200;
        Test::More::is($res->{code} // '', $code =~ s/\s+\z//r,
                       "$name - status code $what");
    }

    Test::More::fail("$name - $res->{error} $what") if $res->{error};

    if (defined $block->raw_response_headers_like) {
        my $pattern = $get->('raw_response_headers_like');
        Test::More::like($res->{head}, qr/$pattern/s,
                         "$name - raw headers like $what");
    }

    _check_headers($block, $res, $get, $what);
    _check_body($block, $res->{body}, $get, $what);
}


sub _check_headers {
    my ($block, $res, $get, $what) = @_;
    my $name = $block->name;
    my $section = defined $block->response_headers ? 'response_headers'
                : defined $block->response_headers_like
                ? 'response_headers_like' : return;

    for (grep { /\S/ } split /\n/, $get->($section)) {
        my ($absent, $key, undef, $value) =
            /^\s*(!\s*)?([^:\s]+)\s*(:\s*(.*?))?\s*$/;
        my $got = $res->{headers}{ lc $key };

        if ($absent) {
            Test::More::ok(!defined $got, "$name - no header $key $what");

        } elsif ($section eq 'response_headers') {
            Test::More::is($got // '', $value // '',
                           "$name - header $key $what");
        } else {
            Test::More::like($got // '', qr/^$value$/,
                             "$name - header $key like $what");
        }
    }
}


sub _check_body {
    my ($block, $body, $get, $what) = @_;
    my $name = $block->name;

    if (defined $block->response_body) {
        my $expected = _expand($block, $get->('response_body'));

        if (ref $expected) {
            Test::More::like($body, $expected, "$name - body like $what");
        } else {
            Test::More::is($body, $expected, "$name - body $what");
        }

    } elsif (defined $block->response_body_like) {
        my $pattern = $get->('response_body_like');
        Test::More::like($body, qr/$pattern/s, "$name - body like $what");

    } elsif (defined $block->response_body_unlike) {
        my $pattern = $get->('response_body_unlike');
        Test::More::unlike($body, qr/$pattern/s,
                           "$name - body unlike $what");
    }
}


# The patterns of a section: each line, or each element, or the regex.
sub _patterns {
    my ($value) = @_;

    return !defined $value      ? ()
         : ref $value eq 'ARRAY' ? @$value
         : ref $value           ? $value : grep { length } split /\n+/, $value;
}


sub _match {
    my ($pattern, $line) = @_;

    return ref $pattern ? $line =~ $pattern : index($line, $pattern) >= 0;
}


# NAME: each pattern is in a line of the log; no_NAME: in none.  The log phase
# comes after the answer, so a missing line is waited for.
sub _check_patterns {
    my ($block, $section, $file, $from, $repeat) = @_;
    my @wanted = _patterns($block->$section);
    my $not_section = "no_$section";
    my @unwanted = _patterns($block->$not_section);
    my $what = "$file (req $repeat)";
    my $name = $block->name;
    my @lines;

    return unless @wanted || @unwanted;

    sleep 0.03 if @unwanted;

    Fixture::Nginx::wait_for(@wanted ? 4 : 0, sub {
        @lines = split /^/, $nginx->read_log($file, $from);
        my @missing = grep { my $p = $_; !grep { _match($p, $_) } @lines }
                      @wanted;
        return !@missing;
    });

    for my $p (@wanted) {
        Test::More::ok((grep { _match($p, $_) } @lines) > 0,
                       "$name - \"$p\" is in $what");
    }

    for my $p (@unwanted) {
        my ($found) = grep { _match($p, $_) } @lines;
        Test::More::ok(!defined $found, "$name - \"$p\" is not in $what")
            or Test::More::diag($found);
    }
}


# The part of error.log since the last look, or since the block's start.
sub _check_error_log {
    my ($block, $repeat) = @_;
    my $from = $nginx->{log_from};

    _check_grep($block, $from, $repeat);
    _check_patterns($block, 'error_log', 'error.log', $from, $repeat);

    $nginx->{log_from} = length $nginx->read_log('error.log');
}


sub _check_grep {
    my ($block, $from, $repeat) = @_;
    my $pattern = $block->grep_error_log // return;
    my $expected = $block->grep_error_log_out
        // _bail_out($block, 'grep_error_log without grep_error_log_out');

    $_ = ref $_ eq 'ARRAY' ? $_->[$repeat] : $_ for $pattern, $expected;
    $pattern = qr/\Q$pattern\E/ unless ref $pattern;
    $expected = _expand($block, $expected);

    my $found;
    my $test = ref $expected ? sub { $found =~ $expected }
                             : sub { $found eq $expected };

    Fixture::Nginx::wait_for(1, sub {
        $found = join '', map { /($pattern)/ ? "$1\n" : () }
                 split /\n/, $nginx->read_log('error.log', $from);
        return $test->();
    });

    my $name = $block->name . " - grep_error_log_out (req $repeat)";

    if (ref $expected) {
        Test::More::like($found, $expected, $name);
    } else {
        Test::More::is($found, $expected, $name);
    }
}


END {
    local $?;
    $nginx->stop if $nginx;
}


1;
